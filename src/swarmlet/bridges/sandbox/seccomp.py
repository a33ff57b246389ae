"""A filter for system calls, as a classic BPF program: what a program in a namespace could still use against its host.

Namespaces and limits do not reach everything: memory that belongs to no process (memfd, System V), sockets that no network
namespace holds (vsock, AF_ALG), tracing of the sandbox's own first process, and corners of the kernel that broke before.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from functools import cache

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low half of an argument
_SECOND_ARGUMENT, _THIRD_ARGUMENT = 24, 32
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_X86_64, _AARCH64 = "x86_64", "aarch64"
_AUDIT = {_X86_64: 0xC000003E, _AARCH64: 0xC00000B7}
_X32 = 0x40000000  # the calls of x32 on x86_64 are the same ones under other numbers

_NEW_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW*: NS, CGROUP, UTS, IPC, USER, PID, NET; 0x80 is NEWTIME (not seen by clone)
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6, which the empty network namespace holds

# (name, number on x86_64, number on aarch64); -1 where there is none. Numbers are part of the kernel's ABI: they never change.
_DENIED: tuple[tuple[str, int, int], ...] = (
    ("memfd_create", 319, 279), ("memfd_secret", 447, 447),
    ("shmget", 29, 194), ("shmat", 30, 196), ("semget", 64, 190), ("msgget", 68, 186), ("mq_open", 240, 180),
    ("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271), ("kcmp", 312, 272),
    ("pidfd_getfd", 438, 438), ("process_madvise", 440, 440),
    ("unshare", 272, 97), ("setns", 308, 268), ("mount", 165, 40), ("umount2", 166, 39), ("pivot_root", 155, 41),
    ("chroot", 161, 51), ("open_tree", 428, 428), ("move_mount", 429, 429), ("fsopen", 430, 430), ("fsconfig", 431, 431),
    ("fsmount", 432, 432), ("fspick", 433, 433), ("mount_setattr", 442, 442), ("name_to_handle_at", 303, 264),
    ("open_by_handle_at", 304, 265), ("swapon", 167, 224), ("swapoff", 168, 225), ("quotactl", 179, 60), ("acct", 163, 89),
    ("keyctl", 250, 219), ("add_key", 248, 217), ("request_key", 249, 218),
    ("bpf", 321, 280), ("perf_event_open", 298, 241), ("userfaultfd", 323, 282), ("fanotify_init", 300, 262),
    ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426), ("io_uring_register", 427, 427), ("io_setup", 206, 0),
    ("init_module", 175, 105), ("finit_module", 313, 273), ("delete_module", 176, 106), ("kexec_load", 246, 104),
    ("kexec_file_load", 320, 294), ("reboot", 169, 142), ("syslog", 103, 116), ("personality", 135, 92),
    ("settimeofday", 164, 170), ("clock_settime", 227, 112), ("clock_adjtime", 305, 266), ("adjtimex", 159, 171),
    ("lookup_dcookie", 212, 18), ("vhangup", 153, 58), ("modify_ldt", 154, -1), ("iopl", 172, -1), ("ioperm", 173, -1),
    ("uselib", 134, -1), ("ustat", 136, -1), ("sysfs", 139, -1),
)  # fmt: skip
_SOCKET = {_X86_64: (41, 53), _AARCH64: (198, 199)}  # socket, socketpair
_SETSOCKOPT = {_X86_64: 54, _AARCH64: 208}
_BUFFERS = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF and those by force: a socket may hold as much memory as its buffer is large
_CLONE = {_X86_64: 56, _AARCH64: 220}
_CLONE3 = 435


def machine() -> str | None:
    """This machine's name if there is a filter for it."""
    name = {"amd64": _X86_64, "arm64": _AARCH64}.get(platform.machine().lower(), platform.machine().lower())
    return name if name in _AUDIT else None


@cache
def seccomp_filter(machine: str) -> bytes:
    """The filter for `bwrap --seccomp`: an array of `struct sock_filter`. `machine` is one that `machine()` gives."""
    denied = sorted({(x86 if machine == _X86_64 else arm) for _, x86, arm in _DENIED} - {-1})
    program = [(_LOAD, 0, 0, _ARCHITECTURE), *_unless(_JUMP_EQUAL, _AUDIT[machine], _KILL), (_LOAD, 0, 0, _NUMBER)]
    if machine == _X86_64:
        program += _when(_JUMP_AT_LEAST, _X32, _KILL)
    for number in denied:
        program += _when(_JUMP_EQUAL, number, _ERRNO | errno.EPERM)
    program += _when(_JUMP_EQUAL, _CLONE3, _ERRNO | errno.ENOSYS)  # its flags lie in memory; libc then uses clone
    program += _guarded(_CLONE[machine], _when(_JUMP_ANY_BIT, _NEW_NAMESPACES & ~0x80, _ERRNO | errno.EPERM))
    families = [line for family in _FAMILIES for line in _when(_JUMP_EQUAL, family, _ALLOW)]
    for number in _SOCKET[machine]:
        program += _guarded(number, [*families, (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT)])
    program += _guarded(_SETSOCKOPT[machine], _buffers_stay())
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in program)


_Line = tuple[int, int, int, int]


def _buffers_stay() -> list[_Line]:
    sizes = [line for option in _BUFFERS for line in _when(_JUMP_EQUAL, option, _ERRNO | errno.EPERM)]
    looks = [(_LOAD, 0, 0, _THIRD_ARGUMENT), *sizes]
    return [(_LOAD, 0, 0, _SECOND_ARGUMENT), (_JUMP_EQUAL, 0, len(looks), socket.SOL_SOCKET), *looks]


def _when(jump: int, value: int, then: int) -> list[_Line]:
    return [(jump, 0, 1, value), (_RETURN, 0, 0, then)]


def _unless(jump: int, value: int, then: int) -> list[_Line]:
    return [(jump, 1, 0, value), (_RETURN, 0, 0, then)]


def _guarded(number: int, on_first_argument: list[_Line]) -> list[_Line]:
    """For one call, a look at its first argument; what comes after sees the call's number again."""
    body = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *on_first_argument, (_LOAD, 0, 0, _NUMBER)]
    return [(_JUMP_EQUAL, 0, len(body), number), *body]
