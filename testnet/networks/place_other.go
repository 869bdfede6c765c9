//go:build !linux

package networks

import (
	"errors"
	"net/netip"
)

// Possible says in one line what is missing.
func Possible() error {
	return errors.New("networks are made of Linux' network namespaces: run it on Linux, as root")
}

// Place adds a machine to a site.
func (s *Site) Place(netip.Addr) (*Place, error) { return nil, Possible() }
