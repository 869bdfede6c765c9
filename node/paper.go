package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/register"
)

// The paper list of a bureau lies sealed on its media, in both languages, with who has voted so far. Should no machine
// serve any more, a key and the president's passphrase give a list to go on with. It is sealed to the bureau's
// own identity, as the register is; a medium is written whole or keeps the list of before.

const (
	// DefaultPaperEvery is the pace of the lists on the media.
	DefaultPaperEvery = 10 * time.Minute
	// firstPaper is how soon the first list comes; bureaux of one machine take turns over half the pace.
	firstPaper = time.Minute
	turns      = 64
	// MaxPaper is the length of one sealed list, in bytes.
	MaxPaper = 16 << 20
)

// PaperFile is the name of a sealed list on a medium.
func PaperFile(lang minutes.Language) string { return "paper-list-" + lang.String() + ".age" }

// PaperList is the list of this bureau's electors to go on with on paper, with who has voted as far as is known here: by
// the ledger, and by the bureau's own chain.
func (n *Node) PaperList(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	return n.paperList(ctx, lang)
}

func (n *Node) paperList(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
	frame, err := minutes.FrameOf(n.prepared.Manifest, n.cfg.Commune)
	if err != nil {
		return nil, err
	}
	own, err := n.ownChain()
	if err != nil {
		return nil, err
	}
	waiting := n.withoutPlace(own)
	var rows []minutes.Listed
	for i := range n.register.Len() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if n.register.Bureau(i) != n.cfg.Bureau {
			continue
		}
		row := minutes.Listed{Person: personOf(n.register.At(i))}
		if row.In, err = n.checkedIn(n.register.Token(i), waiting); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	head := n.store.Head()
	foot := fmt.Sprintf("%s · %d · %v", n.prepared.Group.Origin(head.Epoch), head.Size, head.Last)
	return minutes.Fallback(&frame, lang, n.cfg.Bureau, n.now(), foot, rows), nil
}

// waiting is what this bureau stated of rights and the ledger here does not have yet.
type waiting struct {
	used map[ledger.Right]minutes.CheckIn
	gone map[ledger.StatementID]bool
}

func (n *Node) withoutPlace(own []*ledger.Batch) *waiting {
	w := &waiting{map[ledger.Right]minutes.CheckIn{}, map[ledger.StatementID]bool{}}
	for _, b := range own {
		if _, placed := n.store.Answer(b); placed {
			continue
		}
		for _, s := range b.Statements {
			rights := ledger.Touches(s.Body)
			switch body := s.Body.(type) {
			case *ledger.Admission, *ledger.ProxyAdmission, *ledger.Provisional:
				_, proxy := s.Body.(*ledger.ProxyAdmission)
				for _, x := range rights {
					w.used[x] = minutes.CheckIn{Bureau: n.cfg.Bureau, Time: s.Time, Proxy: proxy}
				}
			case *ledger.Void:
				w.takeBack(rights, ledger.StatementID{Session: b.Header.Author.Session, Sequence: body.Sequence})
			case *ledger.Annulment:
				w.takeBack(rights, body.Record)
			}
		}
	}
	return w
}

func (w *waiting) takeBack(rights []ledger.Right, id ledger.StatementID) {
	w.gone[id] = true
	for _, x := range rights {
		delete(w.used, x)
	}
}

// checkedIn is an elector's check-in that stands, nil for none.
func (n *Node) checkedIn(e ledger.ElectorToken, w *waiting) (*minutes.CheckIn, error) {
	in, err := n.used(ledger.Right{Elector: e, Kind: ledger.Admit}, w)
	if in == nil || err != nil {
		return nil, err
	}
	carries, err := n.used(ledger.Right{Elector: e, Kind: ledger.Carry}, w)
	in.Carries = carries != nil
	return in, err
}

func (n *Node) used(x ledger.Right, w *waiting) (*minutes.CheckIn, error) {
	for _, a := range n.store.Admissions(x) {
		if w.gone[a.ID] {
			continue
		}
		s, err := n.statement(a)
		if err != nil {
			return nil, err
		}
		_, proxy := s.Body.(*ledger.ProxyAdmission)
		return &minutes.CheckIn{Bureau: a.Bureau, Time: s.Time, Proxy: proxy}, nil
	}
	if in, ok := w.used[x]; ok {
		return &in, nil
	}
	return nil, nil
}

// keepPaper refreshes the lists on the media until the node stops.
func (n *Node) keepPaper(ctx context.Context) {
	every := time.Duration(n.cfg.PaperEvery)
	timer := time.NewTimer(min(every, firstPaper) + every/2*time.Duration(n.cfg.Bureau%turns)/turns)
	defer timer.Stop()
	said, done := "", ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(every)
		state := n.paperState()
		if state == done {
			continue // nobody was checked in since, and the media are the same
		}
		err := n.writePaper(ctx)
		switch {
		case err == nil:
			said, done = "", state
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			n.log.Error("the paper list on the media was not refreshed", "err", said)
		}
	}
}

// paperState changes with whatever the lists on the media depend on.
func (n *Node) paperState() string {
	return fmt.Sprintf("%v %d %q", n.store.Head(), n.journal.Point().Next, n.attached())
}

// attached are the directories of the media that are there.
func (n *Node) attached() (dirs []string) {
	for _, m := range n.journal.Status() {
		if m.Attached && m.Fault == nil {
			dirs = append(dirs, m.Path)
		}
	}
	return dirs
}

// writePaper seals the lists and writes them on every medium that is there; one that can't be written leaves the others.
func (n *Node) writePaper(ctx context.Context) error {
	var errs []error
	for _, lang := range minutes.Languages {
		sealed, err := n.sealedPaper(ctx, lang)
		if err != nil {
			return err
		}
		for _, dir := range n.attached() {
			errs = append(errs, writeFile(filepath.Join(dir, PaperFile(lang)), sealed, 0o600))
		}
	}
	return inLine(errors.Join(errs...))
}

func (n *Node) sealedPaper(ctx context.Context, lang minutes.Language) ([]byte, error) {
	doc, err := n.paperList(ctx, lang)
	if err != nil {
		return nil, err
	}
	pdf, err := doc.PDF()
	if err != nil {
		return nil, err
	}
	id, err := age.ParseHybridIdentity(n.keys.Identity)
	if err != nil {
		return nil, fmt.Errorf("read the bureau's identity: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal paper list: %w", err)
	}
	if _, err := w.Write(pdf); err != nil {
		return nil, fmt.Errorf("seal paper list: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal paper list: %w", err)
	}
	if out.Len() > MaxPaper {
		return nil, fmt.Errorf("seal paper list: %d bytes, at most %d", out.Len(), MaxPaper)
	}
	return out.Bytes(), nil
}

// OpenPaper opens the newest paper list on the media that are there, with the bureau's keys and no running bureau: the
// PDF, and when it was written.
func OpenPaper(cfg Config, passphrase string, lang minutes.Language) (pdf []byte, at time.Time, err error) {
	p, err := ReadPrepared(cfg.Election, cfg.Commune)
	if err != nil {
		return nil, at, InputError{err}
	}
	k, _, err := p.OpenKeys(cfg.Keys, passphrase, cfg.Bureau)
	if err != nil {
		return nil, at, InputError{err}
	}
	newest := ""
	for _, dir := range mediaAt(cfg.Data, cfg.Media...) {
		name := filepath.Join(dir.Path, PaperFile(lang))
		if st, err := os.Stat(name); err == nil && st.ModTime().After(at) {
			newest, at = name, st.ModTime()
		}
	}
	if newest == "" {
		return nil, at, InputError{errors.New("no medium that is there has a paper list: attach a key of this bureau")}
	}
	sealed, err := readFile(newest, MaxPaper)
	if err != nil {
		return nil, at, InputError{err}
	}
	pdf, err = openPaper(sealed, k)
	if err != nil {
		return nil, at, InputError{fmt.Errorf("%s: %w", newest, err)}
	}
	return pdf, at, nil
}

func openPaper(sealed []byte, k register.Keys) ([]byte, error) {
	id, err := age.ParseHybridIdentity(k.Identity)
	if err != nil {
		return nil, fmt.Errorf("read the bureau's identity: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		return nil, fmt.Errorf("open paper list: %w", err)
	}
	pdf, err := io.ReadAll(io.LimitReader(r, MaxPaper))
	if err != nil {
		return nil, fmt.Errorf("open paper list: %w", err)
	}
	return pdf, nil
}
