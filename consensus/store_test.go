package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pointage/consensus/consensustest"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// disks starts and stops a group of three on real stores, in real time.
type disks struct {
	t        *testing.T
	network  *consensustest.Network
	config   Config
	dirs     map[string]string
	machines map[string]*consensustest.Machine
	groups   map[string]*Group
	acked    [][]byte
}

func newDisks(t *testing.T) *disks {
	d := &disks{
		t: t, network: consensustest.NewNetwork(), dirs: map[string]string{}, groups: map[string]*Group{},
		machines: map[string]*consensustest.Machine{},
		config: Config{
			Members: []Member{{"a", true}, {"b", true}, {"c", true}}, Timing: fast,
			Snapshots: Snapshots{Interval: 50 * time.Millisecond, Threshold: 40, Trailing: 10},
		},
	}
	for _, m := range d.config.Members {
		d.dirs[m.Peer] = filepath.Join(t.TempDir(), "store")
		d.machines[m.Peer] = consensustest.NewMachine()
	}
	t.Cleanup(func() {
		for _, g := range d.groups {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
		replicas := map[string][]consensustest.Applied{}
		for peer, m := range d.machines {
			replicas[peer] = m.Log()
		}
		if err := consensustest.Agree(replicas, d.acked); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *disks) open(peer string, adjust func(*Config)) error {
	cfg := d.config
	cfg.Dir = d.dirs[peer]
	if adjust != nil {
		adjust(&cfg)
	}
	g, err := Start(cfg, d.network.Host(peer), d.machines[peer])
	if err == nil {
		d.groups[peer] = g
	}
	return err
}

func (d *disks) start(peers ...string) {
	d.t.Helper()
	for _, p := range peers {
		if err := d.open(p, nil); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *disks) stop(peers ...string) {
	d.t.Helper()
	for _, p := range peers {
		if err := d.groups[p].Close(); err != nil {
			d.t.Error(err)
		}
		delete(d.groups, p)
	}
}

func (d *disks) propose(at, name string, n int) {
	d.t.Helper()
	for i := range n {
		command := fmt.Appendf(nil, "%s-%d", name, i)
		eventually(d.t, "proposal "+string(command), func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := d.groups[at].Propose(ctx, command)
			return err == nil
		})
		d.acked = append(d.acked, command)
	}
}

func (d *disks) level() {
	d.t.Helper()
	eventually(d.t, "all machines level", func() bool {
		for p := range d.groups {
			if len(d.machines[p].Log()) != len(d.acked) {
				return false
			}
		}
		return true
	})
}

func TestStoresOnDiskRestartAndCatchUp(t *testing.T) {
	d := newDisks(t)
	d.start("a", "b")
	d.propose("a", "two", 100)
	for _, p := range []string{"a", "b"} {
		eventually(t, "the log of "+p+" is cut short", func() bool {
			first, err := d.groups[p].stores.log.FirstIndex()
			return err == nil && first > 1
		})
	}
	d.start("c")
	d.level()
	if _, restores, _ := d.machines["c"].Counts(); restores == 0 {
		t.Error("a member far behind was brought level without a snapshot")
	}
	d.stop("a", "b", "c")
	d.machines["b"].Forget(3)
	d.start("c", "b", "a")
	d.propose("b", "again", 10)
	d.level()
}

func TestStoreIsTakenByOneAndKnowsItsOwner(t *testing.T) {
	d := newDisks(t)
	d.start("a", "b")
	d.propose("a", "x", 3)
	other := consensustest.NewNetwork()
	cfg := d.config
	cfg.Dir = d.dirs["a"]
	if _, err := Start(cfg, other.Host("a"), consensustest.NewMachine()); err == nil {
		t.Error("a store in use was opened")
	}
	d.stop("a")
	if err := d.open("a", func(cfg *Config) { cfg.StoreNumber = 5 }); !errors.Is(err, ErrWrongStore) {
		t.Errorf("another number over the same store: %v, want ErrWrongStore", err)
	}
	if err := d.open("c", func(cfg *Config) { cfg.Dir = d.dirs["a"] }); !errors.Is(err, ErrWrongStore) {
		t.Errorf("another machine's store: %v, want ErrWrongStore", err)
	}
	if err := d.open("c", func(cfg *Config) { cfg.StoreExisted = true }); !errors.Is(err, ErrStoreLost) {
		t.Errorf("a store that is gone: %v, want ErrStoreLost", err)
	}
	d.start("a", "c")
	d.propose("c", "y", 3)
}

func TestLostStoreOnDiskJoinsUnderANewNumber(t *testing.T) {
	d := newDisks(t)
	d.start("a", "b", "c")
	d.propose("a", "x", 60)
	d.level()
	d.stop("c")
	if err := os.RemoveAll(d.dirs["c"]); err != nil {
		t.Fatal(err)
	}
	// A new store of a machine whose own state survived: it needs no snapshot.
	if err := d.open("c", func(cfg *Config) { cfg.StoreNumber = 77 }); err != nil {
		t.Fatal(err)
	}
	d.propose("c", "y", 3)
	d.level()
	if _, restores, _ := d.machines["c"].Counts(); restores > 1 {
		t.Errorf("restored %d times", restores)
	}
}

// Bits flip and files are cut short: a start over what is left refuses, or goes on with what is right.
func TestDamagedStoreIsNeverTrusted(t *testing.T) {
	d := newDisks(t)
	d.config.Snapshots.Threshold = 1 << 30
	d.start("a", "b", "c")
	d.propose("a", "command", 30)
	d.level()
	d.stop("a", "b", "c")
	file := filepath.Join(d.dirs["a"], storeFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := d.machines["a"].Log()
	for i := range 120 {
		b := bytes.Clone(whole)
		if i%10 == 9 {
			b = b[:len(b)*i/120]
		} else {
			at := (i*7919*31 + 13) % len(b)
			for j := range 64 { // a stretch, as a single bit mostly hits free pages
				b[(at+j)%len(b)] ^= byte(1 << (i % 8))
			}
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := consensustest.NewMachine()
		cfg := d.config
		cfg.Dir = d.dirs["a"]
		g, err := Start(cfg, consensustest.NewNetwork().Host("a"), m)
		if err == nil {
			err = g.Close()
		}
		if err != nil && testing.Verbose() {
			t.Log(err)
		}
		for j, a := range m.Log() {
			if j >= len(want) || !bytes.Equal(a.Command, want[j].Command) || a.Index != want[j].Index {
				t.Fatalf("image %d: %q applied at %d", i, a.Command, a.Index)
			}
		}
	}
	t.Log("120 damages: none was applied")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A meta page that is an old one brings back the state before the last transactions: an acknowledged entry, or the term in
// which this member already let another lead, would be forgotten.
func TestStoreThatWentBackIsNeverTrusted(t *testing.T) {
	d := newDisks(t)
	d.start("a", "b", "c")
	d.propose("a", "x", 3)
	d.level()
	d.stop("a", "b", "c")
	file := filepath.Join(d.dirs["a"], storeFile)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d.start("a", "b", "c")
	d.propose("a", "y", 3)
	d.level()
	d.stop("a", "b", "c")
	now, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for i := range 2 {
		image := bytes.Clone(now)
		copy(image[i*page:(i+1)*page], old[i*page:(i+1)*page])
		if err := os.WriteFile(file, image, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.open("a", nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("meta page %d is old: %v, want ErrDamaged", i, err)
		}
	}
	if err := os.WriteFile(file, now, 0o600); err != nil {
		t.Fatal(err)
	}
	d.start("a", "b")
}

func TestConfigurationsThatCantBeAreRefused(t *testing.T) {
	eight := []Member{}
	for i := range 8 {
		eight = append(eight, Member{fmt.Sprint(i), true})
	}
	two := []Member{{"0", true}, {"1", false}}
	for name, cfg := range map[string]Config{
		"no members":           {},
		"eight voting":         {Members: eight},
		"none voting":          {Members: []Member{{"0", false}}},
		"self missing":         {Members: []Member{{"1", true}}},
		"twice":                {Members: []Member{{"0", true}, {"0", true}}},
		"name with a slash":    {Members: []Member{{"0", true}, {"a/b", true}}},
		"empty name":           {Members: []Member{{"0", true}, {"", true}}},
		"principal receives":   {Members: two, Principal: "1"},
		"deputy unknown":       {Members: two, Deputy: "2"},
		"lease over heartbeat": {Members: two, Timing: Timing{Heartbeat: time.Second, Lease: 2 * time.Second, Commit: time.Second}},
		"commands too large":   {Members: two, MaxCommand: 2 << 20},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		cfg.Dir = dir
		if g, err := Start(cfg, consensustest.NewNetwork().Host("0"), consensustest.NewMachine()); err == nil {
			t.Errorf("%s: started", name)
			_ = g.Close()
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a directory was made", name)
		}
	}
}

func FuzzCheckBoltFile(f *testing.F) {
	dir := f.TempDir()
	g, err := Start(Config{Dir: dir, Members: []Member{{"a", true}}, Timing: fast}, consensustest.NewNetwork().Host("a"), consensustest.NewMachine())
	if err != nil {
		f.Fatal(err)
	}
	eventually(f, "a command", func() bool {
		_, err := g.Propose(context.Background(), []byte("x"))
		return err == nil
	})
	if err := g.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(4096*2), []byte{1, 0, 2})
	path := filepath.Join(dir, "image")
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		image := bytes.Clone(whole)
		copy(image[int(at)%len(image):], patch)
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := checkBoltFile(path); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if bytes.Equal(image, whole) {
			if _, err := checkBoltFile(path); err != nil {
				t.Error(err)
			}
		}
	})
}
