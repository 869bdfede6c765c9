package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const (
	// maxMounts is how many bytes the kernel's list of mounts may have, maxAttribute a device's
	// attribute.
	maxMounts    = 4 << 20
	maxAttribute = 4 << 10
	// maxLayers is how many devices may lie on one another (encryption, volumes).
	maxLayers = 8
)

// HardwareOf identifies the piece of hardware that holds a directory, for Medium.Hardware: root is
// the machine's file system (os.DirFS("/")), dir an absolute path without symbolic links. On Linux it
// needs no privilege: the mount's device is looked up in /proc and /sys, and the USB stick, or else
// the disk, under it gives maker, product and serial number.
//
// It is empty where there is no such identity: a stick without a serial number of its own, a memory
// file system, another operating system. Then the random identity in the directory stands for it.
func HardwareOf(root fs.FS, dir string) (string, error) {
	if !path.IsAbs(dir) {
		return "", fmt.Errorf("identify hardware of %s: the path is not absolute", dir)
	}
	mounts, err := readAtMost(root, "proc/self/mountinfo", maxMounts)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("identify hardware of %s: %w", dir, err)
	}
	m, ok := mountOf(string(mounts), path.Clean(dir))
	if !ok {
		return "", nil
	}
	device, ok := m.device(root)
	if !ok {
		return "", nil
	}
	id := identity(root, device)
	if len(id) > maxHardware {
		id = fmt.Sprintf("disk %x", sha256.Sum256([]byte(id)))
	}
	return id, nil
}

func readAtMost(root fs.FS, name string, limit int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// mounted is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mounted struct{ number, point, source string }

// mountOf is the mount that a path lies on: the deepest, and of those at one point the last.
func mountOf(list, dir string) (deepest mounted, ok bool) {
	for line := range strings.Lines(list) {
		before, after, found := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !found || len(f) < 5 || len(g) < 2 {
			continue
		}
		m := mounted{f[2], unescape(f[4]), unescape(g[1])}
		under := dir == m.point || m.point == "/" || strings.HasPrefix(dir, m.point+"/")
		if under && len(m.point) >= len(deepest.point) {
			deepest, ok = m, true
		}
	}
	return deepest, ok
}

// unescape undoes \040 and the like, as the kernel writes them.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// device is the mount's block device as a directory under sys/devices, the lowest where several
// lie on one another.
func (m mounted) device(root fs.FS) (dir string, ok bool) {
	at := "sys/dev/block/" + m.number
	if strings.HasPrefix(m.number, "0:") { // a file system that hides its device's number
		if !strings.HasPrefix(m.source, "/dev/") {
			return "", false
		}
		at = "sys/class/block/" + path.Base(m.source)
	}
	dir, ok = follow(root, at)
	for range maxLayers {
		below, err := fs.ReadDir(root, path.Join(dir, "slaves"))
		if !ok || err != nil || len(below) == 0 {
			break
		}
		dir, ok = follow(root, path.Join(dir, "slaves", below[0].Name()))
	}
	return dir, ok
}

// follow is where a symbolic link of sysfs leads.
func follow(root fs.FS, link string) (string, bool) {
	to, err := fs.ReadLink(root, link)
	if err != nil {
		return "", false
	}
	dir := path.Join(path.Dir(link), to)
	return dir, strings.HasPrefix(dir, "sys/devices/")
}

// identity looks from a block device upwards for the stick or disk that it is on. A stick without a
// serial number has none: makers give all of a model the same other marks.
func identity(root fs.FS, dir string) string {
	disk := ""
	for ; dir != "sys/devices" && dir != "."; dir = path.Dir(dir) {
		if vendor := attribute(root, dir, "idVendor"); vendor != "" {
			serial := attribute(root, dir, "serial")
			if serial == "" {
				return ""
			}
			return fmt.Sprintf("usb %s:%s %s", vendor, attribute(root, dir, "idProduct"), serial)
		}
		for _, name := range []string{"wwid", "serial", "cid"} {
			if a := attribute(root, dir, name); a != "" && disk == "" {
				disk = "disk " + a
			}
		}
	}
	return disk
}

// attribute reads one of sysfs, empty when it is not there or says nothing: one character repeated,
// as cheap devices have it.
func attribute(root fs.FS, dir, name string) string {
	b, err := readAtMost(root, path.Join(dir, name), maxAttribute)
	if err != nil {
		return ""
	}
	s := strings.Join(strings.FieldsFunc(string(b), func(r rune) bool { return r <= ' ' || r > '~' }), " ")
	if strings.Trim(s, s[:min(1, len(s))]) == "" {
		return ""
	}
	return s
}
