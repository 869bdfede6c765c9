//go:build unix

package preparation

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// peakMemory is the most memory that this process has held at once, for people.
func peakMemory() string {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return "peak memory unknown"
	}
	size := int64(u.Maxrss) // KiB, on macOS bytes
	if runtime.GOOS != "darwin" {
		size <<= 10
	}
	cpu := float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	return fmt.Sprintf("%.0f s of processor, peak memory %d MiB", cpu, size>>20)
}
