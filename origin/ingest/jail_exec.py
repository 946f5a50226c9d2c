"""Shuts itself in, then becomes another program: `python -I -S jail_exec.py <spec as JSON> [program
argument...]`.

Stands alone: the standard library only, run by path, imported by nobody. What the machine refuses is left
out and not reported; `jail.py` decides whether the rest is enough (`require` in the spec makes that decision
here, before the program sees a byte). In order: limits, death with the parent, empty network namespace, no
capabilities, no_new_privs, Landlock (files and TCP), seccomp (system calls). Without a program it reports
and ends.

The spec: {"parent", "report_fd", "require", "reads": [dir or file], "executes": [file], "limits": {NAME:
n}}. The report, one line of JSON on `report_fd`: {"level": ["netns", "landlock", "seccomp"]}. Exit 97: not
shut in enough.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import stat
import struct
import sys
from typing import Any

EXIT_REFUSED = 97

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38

# Landlock (linux/landlock.h): the system calls have the same numbers on every architecture.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
FS_EXECUTE, FS_READ_FILE, FS_READ_DIR = 1 << 0, 1 << 2, 1 << 3
FS_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
NET_BIND_TCP, NET_CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKET, SCOPE_SIGNAL = 1, 2

# seccomp (linux/seccomp.h, linux/filter.h)
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE_EPERM, REFUSE_ENOSYS = 0x00050000 | 1, 0x00050000 | 38
LOAD, JUMP_EQUAL, JUMP_SET, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
AT_NUMBER, AT_ARCHITECTURE, AT_FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
CLONE_THREAD = 0x00010000
X32_BIT = 0x40000000  # x86-64 only: the second, 32-bit-pointer table of calls

# name: (x86-64, aarch64); -1 where the call does not exist. No sockets, no processes, no change to any file's
# name, owner or mode (which Landlock leaves open), no mounts, no other process.
REFUSED = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206),
    "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "sendmmsg": (307, 269),
    "recvmmsg": (299, 243), "fork": (57, -1), "vfork": (58, -1), "kill": (62, 129),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "execveat": (322, 281),
    "memfd_create": (319, 279), "creat": (85, -1), "link": (86, -1), "linkat": (265, 37),
    "symlink": (88, -1), "symlinkat": (266, 36), "unlink": (87, -1), "unlinkat": (263, 35),
    "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, -1),
    "mkdirat": (258, 34), "rmdir": (84, -1), "mknod": (133, -1), "mknodat": (259, 33), "truncate": (76, 45),
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1),
    "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "setns": (308, 268), "unshare": (272, 97), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "personality": (135, 92), "syslog": (103, 116),
    "acct": (163, 89), "quotactl": (179, 60), "swapon": (167, 224), "swapoff": (168, 225),
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "sethostname": (170, 161), "settimeofday": (164, 170), "clock_settime": (227, 112),
}  # fmt: skip
# Nothing that decodes media asks for these: whoever does is taken over.
KILLED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "iopl": (172, -1),
    "ioperm": (173, -1), "modify_ldt": (154, -1),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # machine: column above, AUDIT_ARCH
CLONE, CLONE3, PRLIMIT64, TGKILL = (56, 220), (435, 435), (302, 261), (234, 131)

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Reads the spec, shuts the process in, reports, and becomes the program."""
    spec = json.loads(sys.argv[1])
    program = sys.argv[2:]
    set_limits(spec["limits"])
    die_with(spec["parent"])
    level = [name for name, close in CLOSERS if close(spec)]
    os.write(spec["report_fd"], json.dumps({"level": level}).encode() + b"\n")
    os.close(spec["report_fd"])
    if spec["require"] and not enough(level):
        os._exit(EXIT_REFUSED)
    if program:
        os.execve(program[0], program, dict(spec["environment"]))  # noqa: S606 (no shell on purpose)


def enough(level: list[str]) -> bool:
    """Whether both files and network are shut."""
    return "landlock" in level and ("seccomp" in level or "netns" in level)


def set_limits(limits: dict[str, int]) -> None:
    """Soft and hard limits by the name they have in `resource`. A lower hard limit that is there stays."""
    for name, value in limits.items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # ffmpeg catches SIGXCPU, which comes at the soft limit; SIGKILL comes at the hard one.
        resource.setrlimit(kind, (least, least))


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when the parent ends; ends it at once when it has already."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_REFUSED)


def close_network(spec: dict[str, Any]) -> bool:
    """An empty network namespace: not even loopback is up."""
    own = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    return bool(libc.unshare(own) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def close_files(spec: dict[str, Any]) -> bool:
    """Landlock: read and execute what the program is made of; nothing else can be opened, made or changed."""
    abi = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return False
    rights = FS_RIGHTS_BY_ABI[min(abi, 5)]
    network = NET_BIND_TCP | NET_CONNECT_TCP if abi >= 4 else 0
    scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL if abi >= 6 else 0
    attributes = struct.pack("=QQQ", rights, network, scoped)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = libc.syscall(LANDLOCK_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        return False
    wanted = [(path, FS_READ_FILE | FS_READ_DIR) for path in spec["reads"]]
    wanted += [(path, FS_READ_FILE | FS_EXECUTE) for path in spec["executes"]]
    added = all(allow_path(rules, path, rights) for path, rights in wanted)
    return added and bool(libc.syscall(LANDLOCK_RESTRICT, rules, 0) == 0)


def allow_path(rules: int, path: str, rights: int) -> bool:
    """Adds one rule. A path that is not there needs none."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        # A rule for a file may not name rights that only directories have.
        given = rights if stat.S_ISDIR(os.fstat(fd).st_mode) else rights & ~FS_READ_DIR
        return bool(libc.syscall(LANDLOCK_ADD, rules, 1, struct.pack("=Qi", given, fd), 0) == 0)
    finally:
        os.close(fd)


def drop_privileges(spec: dict[str, Any]) -> bool:
    """No capability survives the exec, and no set-uid program gives one back. Not a level: part of all."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return False


def close_calls(spec: dict[str, Any]) -> bool:
    """seccomp: the tables above. Threads may be made, processes not."""
    if platform.machine() not in MACHINES:
        return False
    code = b"".join(struct.pack("=HBBI", *line) for line in program_for(platform.machine(), os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0) == 0)


def program_for(machine: str, own: int) -> list[tuple[int, int, int, int]]:
    """The BPF program: (operation, jump if true, jump if false, operand) a line.

    `own` is the process it is for, the same after exec: the only one it may signal (abort() does).
    """
    column, architecture = MACHINES[machine]
    lines = [
        (LOAD, 0, 0, AT_ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, AT_NUMBER),
        (JUMP_AT_LEAST, 0, 1, X32_BIT),
        (RETURN, 0, 0, KILL),
        (JUMP_EQUAL, 0, 1, CLONE3[column]),
        (RETURN, 0, 0, REFUSE_ENOSYS),  # its flags are out of reach in memory; libc falls back to clone
        (JUMP_EQUAL, 0, 4, CLONE[column]),
        (LOAD, 0, 0, AT_FIRST_ARGUMENT),
        (JUMP_SET, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, REFUSE_EPERM),
        (RETURN, 0, 0, ALLOW),
        (JUMP_EQUAL, 0, 4, PRLIMIT64[column]),  # libc reads the own limits by it; process 0 is oneself
        (LOAD, 0, 0, AT_FIRST_ARGUMENT),
        (JUMP_EQUAL, 1, 0, 0),
        (RETURN, 0, 0, REFUSE_EPERM),
        (RETURN, 0, 0, ALLOW),
        (JUMP_EQUAL, 0, 4, TGKILL[column]),
        (LOAD, 0, 0, AT_FIRST_ARGUMENT),
        (JUMP_EQUAL, 1, 0, own),
        (RETURN, 0, 0, REFUSE_EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    for table, answer in ((KILLED, KILL), (REFUSED, REFUSE_EPERM)):
        for numbers in table.values():
            if numbers[column] >= 0:
                lines += [(JUMP_EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, answer)]
    return [*lines, (RETURN, 0, 0, ALLOW)]


# The order matters: a namespace needs privileges, Landlock and seccomp need no_new_privs.
CLOSERS = (
    ("netns", close_network),
    ("", drop_privileges),
    ("landlock", close_files),
    ("seccomp", close_calls),
)

if __name__ == "__main__":
    main()
