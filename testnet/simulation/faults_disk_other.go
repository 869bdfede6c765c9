//go:build !linux

package simulation

import "errors"

var errNoSmallDisk = errors.New("mounts a small disk: run it on Linux, as root")

func mountSmall(string, int) (func() error, error) { return nil, errNoSmallDisk }

func copyWhole(string, string) error { return errNoSmallDisk }

func smallDisks(*Plan) error { return errNoSmallDisk }
