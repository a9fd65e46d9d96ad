#!/usr/bin/python3
"""A file system of our own over a folder, as FUSE mounts have them: it knows no flags of renames
(libfuse 2 has no call for them, so the kernel answers EINVAL), and each of its calls can be made to fail.

    faulty_mount.py FOLDER MOUNT_POINT PLAN

PLAN is a file of lines "CALL ERROR [BYTES]", read at each call: that call fails with that error; with
BYTES only a read or a write that ends behind them. It ends when the mount point is unmounted."""
import errno
import os
import sys

import fusepy


class FaultyFolder(fusepy.Operations):
    def __init__(self, folder, plan):
        self.folder = folder
        self.plan = plan

    def __call__(self, call, path, *args):
        """Every call comes through here."""
        with open(self.plan, encoding="ascii") as plan:
            for line in plan:
                failing, error, *first = line.split()
                if failing == call and (not first or self.end_of(call, args) > int(first[0])):
                    raise fusepy.FuseOSError(getattr(errno, error))
        try:
            return getattr(self, call)(path, *args)
        except OSError as failure:
            raise fusepy.FuseOSError(failure.errno) from failure

    @staticmethod
    def end_of(call, args):
        """Where in the file a read (size, offset) or a write (bytes, offset) ends."""
        return args[1] + (args[0] if call == "read" else len(args[0]))

    def below(self, path):
        return self.folder + path

    def getattr(self, path, fh=None):
        facts = os.fstat(fh) if fh is not None else os.lstat(self.below(path))
        return {name: getattr(facts, name) for name in (
            "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime", "st_ctime")}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.below(path))]

    def create(self, path, mode, fi=None):
        return os.open(self.below(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        # The kernel says where appended bytes go.
        return os.open(self.below(path), flags & ~os.O_APPEND)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self.below(path), length)

    def flush(self, path, fh):
        pass

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)

    def rename(self, old, new):
        os.rename(self.below(old), self.below(new))

    def link(self, target, source):
        os.link(self.below(source), self.below(target))

    def unlink(self, path):
        os.unlink(self.below(path))

    def mkdir(self, path, mode):
        os.mkdir(self.below(path), mode)

    def rmdir(self, path):
        os.rmdir(self.below(path))

    def chmod(self, path, mode):
        os.chmod(self.below(path), mode)

    def utimens(self, path, times=None):
        os.utime(self.below(path), times)


if __name__ == "__main__":
    folder, mount_point, plan = sys.argv[1:]
    fusepy.FUSE(FaultyFolder(folder, plan), mount_point, foreground=True, nothreads=True, fsname="kvcs-test")
