package networks

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// tunDevice makes the devices that stand for a machine's network card.
const tunDevice = "/dev/net/tun"

// Possible says in one line what is missing, nil if nothing.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("networks are made of network namespaces, which only root may make: run it as root")
	}
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err != nil {
		return fmt.Errorf("networks need %s, which this kernel does not give: load its tun module", tunDevice)
	} else if err := f.Close(); err != nil {
		return err
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("networks need the program ip: install iproute2")
	}
	done := make(chan error)
	go func() { // a thread that is not unlocked ends with its goroutine
		runtime.LockOSThread()
		done <- syscall.Unshare(syscall.CLONE_NEWNET)
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("networks are made of network namespaces, which this machine does not allow (%w): run it where root may unshare", err)
	}
	return nil
}

// Place adds a machine to a site; at a public one its address is the site's.
func (s *Site) Place(addr netip.Addr) (*Place, error) {
	p := &Place{site: s, addr: addr, acts: make(chan func()), quit: make(chan struct{}), gone: make(chan struct{})}
	ready := make(chan error, 1)
	go p.stay(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make machine %v: %w", addr, err)
	}
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || s.inside[addr] != nil || s.kind == Public && addr != s.public {
		return nil, errors.Join(fmt.Errorf("make machine: %v is not free at site %v", addr, s.public), p.close())
	}
	s.inside[addr] = p
	n.places = append(n.places, p)
	n.work.Go(func() { n.read(p) })
	return p, nil
}

// stay makes the namespace and does the place's acts in it. The thread is never given back, so that it ends with the
// goroutine, and the namespace with the last of its processes.
func (p *Place) stay(ready chan<- error) {
	defer close(p.gone)
	runtime.LockOSThread()
	err := syscall.Unshare(syscall.CLONE_NEWNET)
	if err == nil {
		p.device, err = openDevice()
	}
	if err == nil {
		if err = configure(p.addr); err != nil {
			err = errors.Join(err, p.device.Close())
		}
	}
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case act := <-p.acts:
			act()
		case <-p.quit:
			return
		}
	}
}

// deviceName is the card's, the same in every namespace.
const deviceName = "line0"

// openDevice makes the card of the namespace that the calling thread is in.
func openDevice() (*os.File, error) {
	fd, err := syscall.Open(tunDevice, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tunDevice, err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], deviceName)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request))); e != 0 {
		return nil, errors.Join(fmt.Errorf("make device %s: %w", deviceName, e), syscall.Close(fd))
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // reads then end with the file's Close
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return os.NewFile(uintptr(fd), deviceName), nil
}

// configure gives the card its address; it runs in the namespace.
func configure(addr netip.Addr) error {
	for _, words := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", addr.String() + "/32", "dev", deviceName},
		{"link", "set", deviceName, "mtu", strconv.Itoa(mtu), "up"},
		{"route", "add", "default", "dev", deviceName, "src", addr.String()},
	} {
		if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", words, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
