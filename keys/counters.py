"""What the keys service counts. Parts take `count(name)`; whoever assembles them renders these names."""

from collections.abc import Mapping
from typing import Final

COUNTERS: Final[Mapping[str, str]] = {
    "keys_sessions_opened": "sessions opened",
    "keys_sessions_repeated": "openings answered with the session opened moments ago",
    "keys_sessions_refused": "openings refused",
    "keys_renewals": "tokens of downloads and of zones renewed, and zones' links opened for it",
    "keys_renewals_refused": "renewals refused",
    "keys_offline_licenses": "licenses for offline use given",
    "keys_offline_licenses_refused": "licenses for offline use refused",
    "keys_leases": "leases given",
    "keys_leases_refused": "leases refused",
    "keys_lease_alarms": "minutes in which an edge took far more leases, or of more assets, than usual",
    "keys_revocations": "revocations made or lifted by an operator",
    "keys_purges": "purges made by an operator",
    "keys_rotations": "keys rotated by an operator",
    "keys_generations": "generations made",
    "keys_enrolments": "enrolments taken, repeated ones included",
    "keys_removals": "nodes removed by an operator",
    "keys_rippers": "times a viewer's ripper score came to ripper-score",
    "keys_rippers_slowed": "viewers slowed to real time for their ripper score",
    "keys_rippers_revoked": "viewers whose sessions were ended for their ripper score",
}
