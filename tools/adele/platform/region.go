package platform

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
)

// regionPrefix begins every key of the database that is not the witness's. After it:
//
//	k                        the state of the commune keys: made, destroyed
//	l <position>             entry of the access log
//	h <index>                hash of the access log's tree
//	c                        its newest signed checkpoint
//	a <code>                 access code
//	s <INS>                  state of a commune's list
//	e <INS> <place>          elector, sealed; the place is a keyed hash of his national number
//	n <INS> <hash>           place of the elector with that convocation number
//	m <INS>                  convened members, sealed
//	t <INS>                  the key of the commune's tokens, sealed
//	d <INS> <bureau> <name>  document, sealed
//	o <key> <number>         hand-over of a USB key; its persons sealed
//	v <INS>                  validation; p: the prosecutor's list is drawn up
//	x                        destruction
//	b <number>               backup
//	g…                       ledgers, see intake.go
const regionPrefix = 'R'

// RegionOptions is what the regional platform needs beside the witness.
type RegionOptions struct {
	// Election is the directory of a prepared election: its manifest, and <INS>/roll.
	Election string
	// Manifest and Rolls are the same, read already; Election is then not looked at.
	Manifest []byte
	Rolls    map[ledger.Commune][]byte
	// Backups is the directory into which backups are made; none can be asked for without it.
	Backups string
}

// Region is the platform that art. 2 to 16 of the decree describe, beside the witness with whom it
// shares the database. Its methods may be called by many goroutines.
type Region struct {
	server   *Server
	st       *storage
	dir      string
	backups  string
	now      func() time.Time
	slog     *slog.Logger
	manifest *election.Manifest
	file     []byte // the manifest's, signature included
	communes map[ledger.Commune]*communeLedger
	machines map[string]identity // by device key
	vault    *vault
	log      *accessLog
	tls      *tls.Certificate
	sessions *sessions
	requests chan struct{} // one token per request in work; the witness has its own

	// acts is held by one act that reads what it then changes. Locked before a commune's ledger,
	// and that before the log.
	acts sync.Mutex
	// alive is held for reading by every request, for writing by destruction.
	alive sync.RWMutex

	unlogged pace
}

// pace bounds how often something is done.
type pace struct {
	mu     sync.Mutex
	bucket bucket
}

func (p *pace) take(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bucket.take(now)
}

// OpenRegion opens the regional platform in the directory of an open Server, which it does not
// close.
func OpenRegion(s *Server, dir string, options RegionOptions) (*Region, error) {
	dir, err := realDir(dir)
	if err != nil {
		return nil, err
	}
	rg := &Region{
		server: s, st: s.storage, dir: dir, backups: options.Backups, now: s.now, slog: s.log, sessions: newSessions(s.now()),
		communes: map[ledger.Commune]*communeLedger{}, machines: map[string]identity{}, requests: make(chan struct{}, MaxRequests),
	}
	rg.unlogged.bucket = newBucket(MaxRefusalsPerSecond, MaxRefusalBurst, s.now())
	if err := rg.load(options); err != nil {
		return nil, fmt.Errorf("open the regional platform: %w", err)
	}
	return rg, nil
}

func (rg *Region) load(options RegionOptions) error {
	if options.Manifest == nil {
		if err := options.read(); err != nil {
			return err
		}
	}
	var err error
	if rg.manifest, err = election.Parse(options.Manifest); err != nil {
		return err
	}
	rg.file = options.Manifest
	if rg.tls, err = rg.certificate(); err != nil {
		return err
	}
	seed, err := rg.logSeed()
	if err != nil {
		return err
	}
	origin := rg.manifest.Election + "/adele/access"
	if rg.log, err = openLog(rg.st, origin, ed25519.NewKeyFromSeed(seed)); err != nil {
		return err
	}
	var all []ledger.Commune
	for i := range rg.manifest.Communes {
		c := &rg.manifest.Communes[i]
		all = append(all, c.INS)
		if rg.communes[c.INS], err = rg.openLedger(c.INS, options.Rolls[c.INS]); err != nil {
			return fmt.Errorf("commune %d: %w", c.INS, err)
		}
		rg.enlist(c)
	}
	if err := rg.openKeys(all); err != nil {
		return err
	}
	if err := rg.noteRestored(); err != nil {
		return err
	}
	return rg.resumeDestruction()
}

// openKeys opens the commune keys. They are on disk before the database says that they were
// made: a crash between leaves keys under which nothing lies.
func (rg *Region) openKeys(communes []ledger.Commune) error {
	at := []byte{regionPrefix, 'k'}
	state, err := rg.st.get(at)
	if err != nil {
		return err
	}
	if rg.vault, err = openVault(rg.dir, communes, string(state)); err != nil || len(state) > 0 {
		return err
	}
	return rg.st.set(at, []byte(keysMade))
}

// read reads the prepared election's directory.
func (o *RegionOptions) read() (err error) {
	if o.Manifest, err = os.ReadFile(filepath.Join(o.Election, ledger.ManifestFile)); err != nil {
		return fmt.Errorf("read the election: %w", err)
	}
	m, err := election.Parse(o.Manifest)
	if err != nil {
		return fmt.Errorf("read the election: %w", err)
	}
	o.Rolls = map[ledger.Commune][]byte{}
	for _, c := range m.Communes {
		if o.Rolls[c.INS], err = os.ReadFile(filepath.Join(o.Election, strconv.Itoa(int(c.INS)), ledger.RollFile)); err != nil {
			return fmt.Errorf("read the election: %w", err)
		}
	}
	return nil
}

// enlist notes the machines of a commune: a machine is whoever holds a device key of the manifest.
func (rg *Region) enlist(c *election.Commune) {
	for _, b := range c.Bureaux {
		role := BureauMachine
		if b.Number == c.Principal || b.Number == c.Deputy {
			role = PrincipalMachine
		}
		for _, k := range b.Keys {
			if len(k.Device) == ed25519.PublicKeySize {
				rg.machines[string(k.Device)] = identity{role: role, communes: []ledger.Commune{c.INS}, bureau: b.Number}
			}
		}
	}
}

// logSeed is the seed of the key that signs the access log and the certificate of destruction.
func (rg *Region) logSeed() ([]byte, error) {
	path := filepath.Join(rg.dir, "log.key")
	text, err := os.ReadFile(path)
	if err == nil {
		seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("%s is damaged: restore the directory from a copy", path)
		}
		return seed, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if head, err := rg.st.get(logHeadKey); err != nil || head != nil {
		return nil, errors.Join(err, fmt.Errorf("%s is missing, the access log was signed with it: restore the directory from a copy", path))
	}
	seed, err := drawSeed()
	if err != nil {
		return nil, err
	}
	return seed, writeFileSynced(path, []byte(hex.EncodeToString(seed)+"\n"), 0o600)
}

// LogVKey verifies the access log's checkpoints and the certificate of destruction.
func (rg *Region) LogVKey() string { return rg.log.vkey() }

// Serve answers over TLS 1.3 on listener until ctx ends, then lets the requests in work finish.
func (rg *Region) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           rg.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       uploadTime,
		WriteTimeout:      2 * uploadTime,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(rg.slog.Handler(), slog.LevelDebug),
	}
	return serveUntil(ctx, server, tls.NewListener(listener, rg.tlsConfig()))
}

// communeList is all communes of the election, in order.
func (rg *Region) communeList() []ledger.Commune {
	var out []ledger.Commune
	for c := range rg.communes {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}
