//go:build !linux

package systems

import (
	"errors"
	"syscall"
)

func signalOrphan(*syscall.SysProcAttr, syscall.Signal) {}

func inMemory(string) bool { return false }

func removeSharedMemory(int) error { return errors.ErrUnsupported }
