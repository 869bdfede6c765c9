//go:build !unix

package score

import "os/exec"

// alone does nothing here: what a command started is ended by hand.
func alone(*exec.Cmd) {}
