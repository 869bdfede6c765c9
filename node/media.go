package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pointage/node/journal"
	"pointage/node/machine"
)

// lookEvery is the pace of looking at the media's places: one that was pulled out is given up
// before a record would find out, one that is back is taken up again.
const lookEvery = 2 * time.Second

// fewFits is how many more statements a medium must take; below, an alarm is raised.
const fewFits = 20_000

// mediaAt are the journal's media at the places, with the identity of their hardware. A place that shares
// its device with another or with the data directory is no key of its own: the journal
// keeps an identity in its directory instead.
func mediaAt(data string, places ...string) []journal.Medium {
	devices := map[uint64]int{}
	for _, path := range append([]string{data}, places...) {
		if d, ok := machine.Device(path); ok {
			devices[d]++
		}
	}
	out := make([]journal.Medium, len(places))
	for i, path := range places {
		out[i].Path = path
		if d, ok := machine.Device(path); !ok || devices[d] > 1 {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if id, err := journal.HardwareOf(os.DirFS("/"), real); err == nil {
			out[i].Hardware = id
		}
	}
	return out
}

// medium is the one at a configured place.
func (n *Node) medium(place int) journal.Medium {
	return mediaAt(n.cfg.Data, n.cfg.Media...)[place]
}

// tend looks after the media, and after what amendments say of machines, until the node stops.
func (n *Node) tend(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	said := map[string]string{}
	amendment := n.enforce(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.journal.Failed():
			return
		case <-tick.C:
		}
		n.journal.Look()
		n.takeUp(ctx, said)
		n.forecast(said)
		amendment = n.enforce(amendment)
	}
}

// takeUp attaches what has come back to its place; said keeps the log from repeating itself.
func (n *Node) takeUp(ctx context.Context, said map[string]string) {
	up := map[string]bool{}
	for _, m := range n.journal.Status() {
		if m.Attached && m.Fault == nil {
			up[m.Path] = true
		}
	}
	for i, path := range n.cfg.Media {
		if st, err := os.Stat(path); path == "" || up[path] || err != nil || !st.IsDir() {
			continue
		}
		what := "a medium is back and counts again"
		err := n.attach(ctx, i)
		if err != nil {
			what = inLine(err).Error()
		}
		if said[path] == what {
			continue
		}
		said[path] = what
		if err != nil {
			n.log.Warn("a medium is there and can't be used", "err", what)
			continue
		}
		n.log.Info(what, "path", path)
		delete(said, path)
	}
}

func (n *Node) attach(ctx context.Context, place int) error {
	m := n.medium(place)
	if err := n.locked.lock(m.Path); err != nil {
		return err
	}
	return n.journal.Attach(ctx, m)
}

// forecast warns while there is time to do something.
func (n *Node) forecast(said map[string]string) {
	for _, m := range n.journal.Status() {
		const key = "space "
		switch {
		case !m.Attached || m.Fault != nil || m.Free < 0:
		case m.Fits >= fewFits:
			delete(said, key+m.Path)
		case said[key+m.Path] == "":
			said[key+m.Path] = "told"
			n.log.Error("a medium is nearly full: free space on it", "path", m.Path, "statements_left", m.Fits)
		}
	}
}

// ReplaceMedium gives a member's place in the set (0 the disk, 1 and 2 the keys) to the blank medium
// that lies at its configured directory. The other two must be at work.
func (n *Node) ReplaceMedium(ctx context.Context, member int) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.acts.RUnlock()
	if member < 0 || member >= len(n.cfg.Media) {
		return InputError{fmt.Errorf("medium %d: 0 is the disk, 1 and 2 are the keys", member)}
	}
	path := n.cfg.Media[member]
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return InputError{fmt.Errorf("no directory %s: attach the new medium there first", path)}
	}
	if err := n.locked.lock(path); err != nil {
		return err
	}
	return inLine(n.journal.Replace(ctx, member, n.medium(member)))
}
