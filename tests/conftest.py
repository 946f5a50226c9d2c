"""For every test: hypothesis without deadlines, because the machine may be busy; timing is never asserted."""

import hypothesis

hypothesis.settings.register_profile("sluice", deadline=None)
hypothesis.settings.load_profile("sluice")
