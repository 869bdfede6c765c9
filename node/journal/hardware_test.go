package journal

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// laptop is a Linux file system with a disk, two sticks of which one has no serial number, an
// encrypted volume on the disk, and a file system that hides its device.
func laptop() fstest.MapFS {
	const (
		usb   = "sys/devices/pci0000:00/0000:00:14.0/usb1/"
		stick = usb + "1-2/1-2:1.0/host2/target2:0:0/2:0:0:0/"
		blank = usb + "1-3/1-3:1.0/host3/target3:0:0/3:0:0:0/"
		nvme  = "sys/devices/pci0000:00/0000:00:1d.0/0000:04:00.0/nvme/nvme0/"
	)
	m := fstest.MapFS{
		"proc/self/mountinfo": {Data: []byte(strings.Join([]string{
			"22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw",
			"23 22 0:21 / /proc rw shared:2 - proc proc rw",
			"40 22 8:17 / /media/KEY\\040ONE rw,nosuid shared:9 - vfat /dev/sdb1 rw",
			"41 22 8:33 / /media/key2 rw shared:10 - vfat /dev/sdc1 rw",
			"42 22 253:0 / /srv rw - ext4 /dev/mapper/vault rw",
			"39 43 253:0 / /pool/deep rw - ext4 /dev/mapper/vault rw",
			"43 22 0:45 / /pool rw - btrfs /dev/sdb1 rw",
			"44 22 0:46 / /tmp rw - tmpfs tmpfs rw",
			"45 22 7:0 / /loop rw - ext4 /dev/loop0 rw",
			"46 22 0:47 / /over rw - overlay overlay rw",
			"47 22 8:17 / /over rw - vfat /dev/sdb1 rw",
			"short line",
		}, "\n"))},
		stick + "wwid":           {Data: []byte("t10.SanDisk Ultra\n")},
		usb + "1-2/idVendor":     {Data: []byte("0781\n")},
		usb + "1-2/idProduct":    {Data: []byte("5581\n")},
		usb + "1-2/serial":       {Data: []byte("4C530001\x00 2910\n")},
		blank + "wwid":           {Data: []byte("t10.Generic Flash Disk\n")},
		usb + "1-3/idVendor":     {Data: []byte("abcd\n")},
		usb + "1-3/idProduct":    {Data: []byte("1234\n")},
		usb + "1-3/serial":       {Data: []byte("000000000000\n")},
		nvme + "serial":          {Data: []byte("S4EWNX0R  \n")},
		nvme + "nvme0n1/wwid":    {Data: []byte("eui.0025385\n")},
		"sys/class/block/ignore": {Data: nil},
	}
	link := func(name, dir string) {
		up := strings.Repeat("../", strings.Count(name, "/"))
		m[dir+"/uevent"] = &fstest.MapFile{}
		m[name] = &fstest.MapFile{Data: []byte(up + dir), Mode: fs.ModeSymlink | 0o777}
	}
	link("sys/dev/block/259:2", nvme+"nvme0n1/nvme0n1p2")
	link("sys/dev/block/8:17", stick+"block/sdb/sdb1")
	link("sys/class/block/sdb1", stick+"block/sdb/sdb1")
	link("sys/dev/block/8:33", blank+"block/sdc/sdc1")
	link("sys/dev/block/253:0", "sys/devices/virtual/block/dm-0")
	link("sys/devices/virtual/block/dm-0/slaves/nvme0n1p3", nvme+"nvme0n1/nvme0n1p3")
	link("sys/dev/block/7:0", "sys/devices/virtual/block/loop0")
	return m
}

func TestAStickIsKnownByItsSerialNumber(t *testing.T) {
	const stick = "usb 0781:5581 4C530001 2910"
	for dir, want := range map[string]string{
		"/media/KEY ONE":           stick,
		"/media/KEY ONE/pointage/": stick,
		"/pool/a":                  stick, // hides its device's number
		"/pool/deep/x":             "disk eui.0025385",
		"/over":                    stick, // mounted over another
		"/media/key2":              "",    // its serial number says nothing, and its marks are its model's
		"/var/lib/pointage":        "disk eui.0025385",
		"/media/key20":             "disk eui.0025385", // not on the key
		"/srv/pointage":            "disk eui.0025385", // under an encrypted volume
		"/tmp/x":                   "",
		"/loop":                    "",
		"/proc":                    "",
	} {
		got, err := HardwareOf(laptop(), dir)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", dir, got, err, want)
		}
	}
}

func TestHardwareThatCannotBeToldIsNone(t *testing.T) {
	without := func(name string) fstest.MapFS {
		m := laptop()
		delete(m, name)
		return m
	}
	for name, root := range map[string]fs.FS{
		"no Linux":        fstest.MapFS{},
		"no mount":        fstest.MapFS{"proc/self/mountinfo": {Data: []byte("rubbish\n")}},
		"no such device":  without("sys/dev/block/8:17"),
		"no serial":       without("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial"),
		"link elsewhere":  changed(laptop(), "sys/dev/block/8:17", "../../../etc", fs.ModeSymlink),
		"link out of all": changed(laptop(), "sys/dev/block/8:17", "../../../../../etc", fs.ModeSymlink),
		"not a link":      changed(laptop(), "sys/dev/block/8:17", "x", 0),
	} {
		if got, err := HardwareOf(root, "/media/KEY ONE"); err != nil || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := HardwareOf(laptop(), "media"); err == nil {
		t.Error("a relative path has hardware")
	}
	if _, err := HardwareOf(changed(laptop(), "proc/self/mountinfo", strings.Repeat("x", maxMounts+1), 0), "/"); err == nil {
		t.Error("a list of mounts beyond the limit was read")
	}
	long := changed(laptop(), "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial", strings.Repeat("ab", 300), 0)
	if got, err := HardwareOf(long, "/media/KEY ONE"); err != nil || len(got) == 0 || len(got) > maxHardware {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func changed(m fstest.MapFS, name, data string, mode fs.FileMode) fstest.MapFS {
	m[name] = &fstest.MapFile{Data: []byte(data), Mode: mode}
	return m
}

// Whatever this machine is, asking twice gives the same, and a set can be made with it.
func TestThisMachinesHardwareIsTheSameTwice(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, err := HardwareOf(os.DirFS("/"), dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := HardwareOf(os.DirFS("/"), dir)
	if err != nil || first != second || len(first) > maxHardware {
		t.Errorf("%q, then %q, %v", first, second, err)
	}
}

func TestTwoMediaOnOnePieceOfHardwareAreRefused(t *testing.T) {
	o := options(t, 200)
	o.Media[1].Hardware, o.Media[2].Hardware = "usb 1", "usb 1"
	if err := Create(o); err == nil || !strings.Contains(err.Error(), o.Media[1].Path) {
		t.Errorf("created: %v", err)
	}
	for _, m := range o.Media {
		if c := contents(t, m); len(c) != 0 {
			t.Errorf("%s was written", m.Path)
		}
	}
}
