package systems

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalOrphan has the kernel send sig to the process when this one is gone,
// be it by kill -9, which leaves nobody to stop it.
func signalOrphan(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

func inMemory(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return false
	}
	return fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC
}

// removeSharedMemory removes a System V segment: those outlive their process.
func removeSharedMemory(id int) error {
	_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}
