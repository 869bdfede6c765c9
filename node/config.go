package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"pointage/ledger"
)

// Config is one bureau's configuration: the documented TOML file (node/DESIGN.md,
// "Configuration"). Relative paths are relative to the file.
type Config struct {
	// Election is the directory of the prepared election: manifest, <INS>/roll,
	// <INS>/register.
	Election string `toml:"election"`
	// Commune and Bureau say who this is.
	Commune ledger.Commune      `toml:"commune"`
	Bureau  ledger.BureauNumber `toml:"bureau"`
	// Keys is the bureau's sealed keys file. PassphraseFile holds its passphrase; empty
	// asks for it at the terminal.
	Keys           string `toml:"keys"`
	PassphraseFile string `toml:"passphrase_file"`
	// Data is the directory of what can be rebuilt from peers: the store and Raft's log.
	Data string `toml:"data"`
	// Media are the journal's three places: the machine's disk and the two
	// keys. At least two must be there.
	Media []string `toml:"media"`
	// Listen are the addresses to be reached at: host:port (TCP and QUIC) or multiaddrs.
	Listen []string `toml:"listen"`
	// Announce are the addresses told to peers; absent means those that are
	// bound, an empty list none.
	Announce []string `toml:"announce"`
	// API is the loopback address of the bureau's own interface.
	API string `toml:"api"`
	// MDNS looks for the other bureaux on the same site.
	MDNS bool `toml:"mdns"`
	// Witness is where ADELE answers, when not at the manifest's address; its
	// key is the manifest's in any case.
	Witness string `toml:"witness"`
	// Peers are the known addresses of other bureaux; those without one are found.
	Peers []Peer `toml:"peers"`
	// CheckpointEvery is how often the leading principal bureau makes a
	// checkpoint when the ledger has grown.
	CheckpointEvery Duration `toml:"checkpoint_every"`
}

// Peer is where another bureau can be reached.
type Peer struct {
	Bureau    ledger.BureauNumber `toml:"bureau"`
	Addresses []string            `toml:"addresses"`
}

// Duration is a time.Duration written as "5s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultCheckpointEvery is the pace of checkpoints and anchors.
const DefaultCheckpointEvery = 10 * time.Second

// maxConfig is the length of a configuration file, in bytes.
const maxConfig = 1 << 20

// LoadConfig reads a bureau's configuration file. An unknown key is an error that names it.
// Errors are InputErrors.
func LoadConfig(file string) (Config, error) {
	c, err := loadConfig(file)
	if err != nil {
		return c, InputError{err}
	}
	return c, nil
}

func loadConfig(file string) (Config, error) {
	var c Config
	if st, err := os.Stat(file); err == nil && st.Size() > maxConfig {
		return c, fmt.Errorf("%s is not a configuration file: %d bytes", file, st.Size())
	}
	meta, err := toml.DecodeFile(file, &c)
	var parse toml.ParseError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return c, fmt.Errorf("no configuration file %s: write one with `pointage init`", file)
	case errors.As(err, &parse):
		return c, fmt.Errorf("%s, line %d: %s", file, parse.Position.Line, parse.Message)
	case err != nil:
		return c, fmt.Errorf("read %s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("%s: unknown key %q: remove it or correct its spelling", file, unknown[0].String())
	}
	if err := c.complete(filepath.Dir(file)); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// complete makes paths absolute to dir, fills in defaults and checks the rest.
func (c *Config) complete(dir string) error {
	for _, p := range []*string{&c.Election, &c.Keys, &c.PassphraseFile, &c.Data} {
		*p = within(dir, *p)
	}
	for i := range c.Media {
		c.Media[i] = within(dir, c.Media[i])
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = Duration(DefaultCheckpointEvery)
	}
	for _, v := range [][2]string{{"election", c.Election}, {"keys", c.Keys}, {"data", c.Data}, {"api", c.API}} {
		if v[1] == "" {
			return fmt.Errorf("%q is missing", v[0])
		}
	}
	switch {
	case c.Commune == 0 || c.Bureau == 0:
		return errors.New(`"commune" and "bureau" must be given`)
	case len(c.Media) != 3:
		return errors.New(`"media" must name three places: the disk and the two keys`)
	case twice(c.Media):
		return errors.New(`"media" names one place twice: the disk and the two keys are three places`)
	case len(c.Listen) == 0:
		return errors.New(`"listen" must give an address`)
	case c.CheckpointEvery < 0:
		return errors.New(`"checkpoint_every" must be positive`)
	}
	host, _, err := net.SplitHostPort(c.API)
	if err != nil {
		return fmt.Errorf(`"api" is not host:port: %q`, c.API)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf(`"api" must be a loopback address, not %q`, host)
	}
	return nil
}

// twice says that two of the places are one; an empty one is a medium that is absent.
func twice(places []string) bool {
	for i, p := range places {
		if p != "" && slices.Contains(places[:i], p) {
			return true
		}
	}
	return false
}

func within(dir, p string) string {
	if p == "" {
		return p
	}
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(dir, p)
}
