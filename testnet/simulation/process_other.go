//go:build !linux

package simulation

import (
	"syscall"
	"time"
)

// tied does nothing here: only Linux ends a process with the one that started it. What is left after a kill of the
// testnet is ended by hand.
func tied() *syscall.SysProcAttr { return nil }

// processorTime is not known here.
func processorTime() time.Duration { return 0 }
