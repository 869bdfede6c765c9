package simulation

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// mountSmall lays an empty disk of a size in bytes over a directory; remove takes it away, whoever uses it.
func mountSmall(dir string, size int) (remove func() error, err error) {
	if err := syscall.Mount("pointage", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}

// copyWhole copies a directory's files with their modes.
func copyWhole(to, from string) error {
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy: %w: %s", err, out)
	}
	return nil
}

// smallDisks refuses what needs a disk of its own where none can be had.
func smallDisks(*Plan) error {
	if os.Geteuid() != 0 {
		return errors.New("mounts a small disk: run it as root")
	}
	return nil
}
