//go:build unix

package score

import (
	"os/exec"
	"syscall"
)

// alone puts a command into a process group of its own, which ends with it: go run's and go test's children too.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
