package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"pointage/ledger"
	"pointage/ledger/election"
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
	// Screens is the loopback address of the bureau's screens; empty for none. Tablets is an address on the
	// bureau's own network where they are shown encrypted, to several tablets; empty for none.
	Screens string `toml:"screens"`
	Tablets string `toml:"tablets"`
	// MDNS looks for the other bureaux on the same site.
	MDNS bool `toml:"mdns"`
	// Witness is where ADELE answers, when not at the manifest's address; its
	// key is the manifest's in any case.
	Witness string `toml:"witness"`
	// Peers are the known addresses of other bureaux; those without one are found.
	Peers []Peer `toml:"peers"`
	// Relays are the bureaux with an address that everybody can call: bureaux that can't call each other, each
	// behind its own NAT, talk through them. Every bureau has the same list; empty for no relaying.
	Relays []ledger.BureauNumber `toml:"relays"`
	// CheckpointEvery is how often the leading principal bureau makes a
	// checkpoint when the ledger has grown.
	CheckpointEvery Duration `toml:"checkpoint_every"`
	// Platform is where the regional platform takes the commune's entries, https://host:port; empty for
	// nowhere. PlatformPin is the SHA-256 of its public key, in hexadecimal; empty trusts the
	// machine's certificate authorities. Only the principal bureau and its deputy use them.
	Platform    string `toml:"platform"`
	PlatformPin string `toml:"platform_pin"`
	// Backup is a directory on another disk where the principal bureau and its deputy keep two
	// backups; empty for none. BackupEvery is their pace.
	Backup      string   `toml:"backup"`
	BackupEvery Duration `toml:"backup_every"`
	// PaperEvery is the pace of the sealed paper lists on the media.
	PaperEvery Duration `toml:"paper_every"`
	// CardProgram is the program that reads identity cards; empty for the pointage-card beside this
	// program, "none" for no cards.
	CardProgram string `toml:"card_program"`
	// CardRoots is a file with earlier root certificates of the State, in PEM; empty for the one in the program.
	CardRoots string `toml:"card_roots"`
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
	for _, p := range []*string{&c.Election, &c.Keys, &c.PassphraseFile, &c.Data, &c.Backup, &c.CardRoots} {
		*p = within(dir, *p)
	}
	for i := range c.Media {
		c.Media[i] = within(dir, c.Media[i])
	}
	if c.CardProgram != noCards {
		c.CardProgram = within(dir, c.CardProgram)
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = Duration(DefaultCheckpointEvery)
	}
	if c.BackupEvery == 0 {
		c.BackupEvery = Duration(DefaultBackupEvery)
	}
	if c.PaperEvery == 0 {
		c.PaperEvery = Duration(DefaultPaperEvery)
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
	case c.CheckpointEvery < 0 || c.BackupEvery < 0 || c.PaperEvery < 0:
		return errors.New(`"checkpoint_every", "backup_every" and "paper_every" must be positive`)
	}
	for _, a := range c.Listen {
		if !address(a) {
			return fmt.Errorf(`"listen" has %q, which is neither host:port nor a multiaddr`, a)
		}
	}
	for _, a := range c.Announce {
		if !address(a) {
			return fmt.Errorf(`"announce" has %q, which is neither host:port nor a multiaddr`, a)
		}
	}
	for _, p := range c.Peers {
		for _, a := range p.Addresses {
			if !address(a) {
				return fmt.Errorf(`"peers" gives bureau %d the address %q, which is neither host:port nor a multiaddr`, p.Bureau, a)
			}
		}
	}
	if c.Tablets != "" && !address(c.Tablets) {
		return fmt.Errorf(`"tablets" is not host:port: %q`, c.Tablets)
	}
	return errors.Join(onLoopback("api", c.API), onLoopback("screens", c.Screens))
}

// onLoopback says what is wrong with an address that must stay on this machine; "" is none.
func onLoopback(key, at string) error {
	if at == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil || !portNumber(port) {
		return fmt.Errorf(`"%s" is not host:port: %q`, key, at)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf(`"%s" must be a loopback address, not %q`, key, host)
	}
	return nil
}

// address says whether a text has the form of an address: host:port, or a multiaddr such as
// /ip4/10.0.0.7/tcp/4001. Whether anybody is there is another question.
func address(text string) bool {
	if parts := strings.Split(text, "/"); parts[0] == "" && len(parts) >= 5 {
		return parts[1] != "" && parts[2] != "" && (parts[3] == "tcp" || parts[3] == "udp") && portNumber(parts[4])
	}
	host, port, err := net.SplitHostPort(text)
	return err == nil && portNumber(port) && !strings.ContainsAny(host, "/ \t")
}

func portNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// CheckData says, before anybody is asked for a passphrase, when the data directory is another
// bureau's, another election's or a newer program's. Start looks again. Errors are InputErrors;
// a directory that is not there can be any bureau's.
func CheckData(cfg Config) error {
	file, err := readFile(filepath.Join(cfg.Election, "manifest"), election.MaxManifest)
	if err != nil {
		return InputError{err}
	}
	g := &ledger.Group{Manifest: election.Hash(file), Commune: cfg.Commune}
	if err := ownData(cfg.Data, ownerOf(g, cfg.Bureau)); err != nil {
		return InputError{err}
	}
	return nil
}

// ownData refuses a data directory of another version or owner.
func ownData(dir, owner string) error {
	v, err := readLine(filepath.Join(dir, versionFile))
	if err == nil && v != "" && v != dataVersion {
		return fmt.Errorf("%s says version %q, this program knows %s: use the program that wrote it", filepath.Join(dir, versionFile), v, dataVersion)
	}
	was, oerr := readLine(filepath.Join(dir, ownerFile))
	if oerr == nil && was != "" && was != owner {
		return fmt.Errorf("%s is the data of another bureau or election: use this bureau's own directory, or a new one", dir)
	}
	if err = errors.Join(err, oerr); err != nil {
		return fmt.Errorf("%w: name a directory of this bureau's own as \"data\"", inLine(err))
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
