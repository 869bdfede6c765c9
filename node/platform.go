package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node/adele"
	"pointage/node/store"
)

// uploads brings the commune's entries to the regional platform (art. 7 §2), from whichever of the
// principal bureau and its deputy leads. Nothing waits for it; what fails is tried again.
type uploads struct {
	client *adele.Client

	mu    sync.Mutex
	epoch uint8
	size  uint64
	err   error

	// keyed and keyTried belong to the goroutine that uploads: whether the platform has K, and when it was last offered.
	keyed    bool
	keyTried time.Time
}

// keyAgain is the pause before K is offered again: the platform takes it once it has the commune's list.
const keyAgain = time.Minute

// startUploads makes the client where a platform is configured and this bureau may upload.
func (n *Node) startUploads(Options) error {
	if n.cfg.Platform == "" || n.keys.Log == nil {
		return nil
	}
	c, err := adele.NewClient(adele.Options{URL: n.cfg.Platform, Pin: n.cfg.PlatformPin, Device: n.secrets.Device})
	if err != nil {
		return InputError{err}
	}
	n.uploads = &uploads{client: c}
	return nil
}

// upload goes on from where the platform stands, at the pace of checkpoints, while this machine leads.
func (n *Node) upload(ctx context.Context) {
	u := n.uploads
	if u == nil {
		return
	}
	defer u.client.Close()
	tick := time.NewTicker(time.Duration(n.cfg.CheckpointEvery))
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !n.group.Load().IsLeader() {
			continue
		}
		n.giveTokenKey(ctx)
		if u.level(n.store.Head()) {
			continue
		}
		st, err := u.client.Sync(ctx, n.cfg.Commune, brought{n.store})
		if err == nil {
			err = n.showAnchor(ctx, st)
		}
		u.note(st, err)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && said != err.Error():
			said = err.Error()
			n.log.Warn("the platform does not have all entries yet", "err", inLine(err).Error())
		}
	}
}

// giveTokenKey lets the platform draw up the lists that name electors. The ledger goes there without it.
func (n *Node) giveTokenKey(ctx context.Context) {
	u := n.uploads
	if u.keyed || time.Since(u.keyTried) < keyAgain {
		return
	}
	u.keyTried = time.Now()
	err := n.register.GiveTokenKey(func(k []byte) error { return u.client.TokenKey(ctx, n.cfg.Commune, k) })
	if u.keyed = err == nil; !u.keyed && !errors.Is(err, adele.ErrUnavailable) {
		n.log.Info("the platform does not take the key of the tokens yet", "err", inLine(err).Error())
	}
}

// showAnchor shows the platform the newest anchor that its entries reach.
func (n *Node) showAnchor(ctx context.Context, st adele.Status) error {
	note, size := n.anchoring.Load().kept.newest()
	if note == nil || size > st.Size || st.Epoch != n.store.Head().Epoch {
		return nil
	}
	return n.uploads.client.Checkpoint(ctx, n.cfg.Commune, st.Epoch, note)
}

func (u *uploads) level(h ledger.ChainHead) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err == nil && u.epoch == h.Epoch && u.size == h.Size
}

func (u *uploads) note(st adele.Status, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err = err; err == nil || st.Size > 0 {
		u.epoch, u.size = st.Epoch, st.Size
	}
}

// status is how many entries of the newest epoch the platform has, and why not all, empty when it
// was brought all that there was.
func (u *uploads) status() (size uint64, fault string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil && !errors.Is(u.err, context.Canceled) {
		fault = inLine(u.err).Error()
	}
	return u.size, fault
}

// brought is the store as the platform's client reads it.
type brought struct{ *store.Store }

// Head implements adele.Source.
func (b brought) Head() (epoch uint8, size uint64) {
	h := b.Store.Head()
	return h.Epoch, h.Size
}

// Size implements adele.Source.
func (b brought) Size(epoch uint8) (uint64, error) { return b.SizeOf(epoch) }

// Entry implements adele.Source.
func (b brought) Entry(epoch uint8, position uint64) ([]byte, error) {
	return b.Store.Entry(ledger.Reference(epoch, position))
}
