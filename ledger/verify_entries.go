package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// bundle is one file of entries on its way through the workers.
type bundle struct {
	first   uint64
	raw     [][]byte
	decoded []checked
	err     error
	ready   chan struct{}
}

type checked struct {
	entry *Entry
	batch *Batch
	leaf  Hash
}

// entries streams the bundles: workers decode and check signatures, this
// goroutine replays the placing in order.
func (v *epochVerification) entries(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	workers := max(v.opt.Workers, 1)
	order, work := make(chan *bundle, 2*workers), make(chan *bundle)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { v.feed(ctx, order, work) })
	for range workers {
		wg.Go(func() {
			for b := range work {
				v.check(b)
				close(b.ready)
			}
		})
	}
	for b := range order {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := v.replay(b); err != nil {
			return err
		}
		if v.opt.Progress != nil {
			v.opt.Progress(b.first+uint64(len(b.decoded)), v.head.Size)
		}
	}
	return ctx.Err()
}

func (v *epochVerification) feed(ctx context.Context, order, work chan<- *bundle) {
	defer close(order)
	defer close(work)
	for _, t := range EntryBundles(v.head.Size) {
		b := &bundle{first: uint64(t.N) * TileWidth, ready: make(chan struct{})}
		name := TilePath(t)
		data, err := ReadExported(v.dir, v.prefix+name, TileWidth*(2+MaxEntry))
		if err != nil {
			b.err = err
		} else if b.raw, err = SplitBundle(data, t.W); err != nil {
			b.err = &Offended{v.atEntry(b.first + uint64(len(b.raw))), err}
		}
		// Once a worker has the bundle, it is the worker's.
		last := b.err != nil
		select {
		case order <- b:
		case <-ctx.Done():
			return
		}
		select {
		case work <- b:
		case <-ctx.Done():
			return
		}
		if last {
			return
		}
	}
}

// check does all that one entry tells by itself.
func (v *epochVerification) check(b *bundle) {
	for i, raw := range b.raw {
		c, err := v.checkEntry(raw)
		if err != nil {
			b.err = &Offended{v.atEntry(b.first + uint64(i)), err}
			return
		}
		b.decoded = append(b.decoded, c)
	}
}

func (v *epochVerification) checkEntry(raw []byte) (checked, error) {
	e, err := DecodeEntry(raw)
	if err != nil {
		return checked{}, err
	}
	c := checked{entry: e, leaf: LeafHash(raw)}
	if e.Kind == GenesisEntry {
		return c, nil
	}
	if c.batch, err = DecodeBatch(e.Batch); err != nil {
		return checked{}, err
	}
	if err := c.batch.Verify(v.g); err != nil {
		return checked{}, fmt.Errorf("%v: %w", c.batch.Header.Author, err)
	}
	return c, nil
}

func (v *epochVerification) replay(b *bundle) error {
	for i, c := range b.decoded {
		pos := b.first + uint64(i)
		ans, err := v.replayEntry(b.raw[i], c)
		if err != nil {
			return &Offended{v.atEntry(pos), err}
		}
		v.tell(Reference(v.said.Epoch, pos), c, ans)
		hs, err := tlog.StoredHashesForRecordHash(int64(pos), tlog.Hash(c.leaf), v.hashes)
		if err != nil {
			return fmt.Errorf("tree at entry %d: %w", pos, err)
		}
		v.hashes = append(v.hashes, hs...)
	}
	return b.err
}

// replayEntry places the entry's batch again and compares the bytes.
func (v *epochVerification) replayEntry(raw []byte, c checked) (Answer, error) {
	if v.said.Epoch == 0 || len(v.hashes) > 0 || c.entry.Kind != GenesisEntry {
		_, ans, err := replay(v.g, v.view, c.entry, c.batch, raw)
		return ans, err
	}
	before := v.epochs[v.said.Epoch-1]
	seed, err := DecodeSeed(c.entry.Genesis.Seed)
	if err != nil {
		return Answer{}, err
	}
	if !bytes.Equal(seed.Checkpoint, before.note) {
		return Answer{}, fmt.Errorf("the seed is not the checkpoint of %s", EpochDir(before.said.Epoch))
	}
	got, err := BeginEpoch(v.g, v.view, seed, before.head.Root)
	if err != nil {
		return Answer{}, err
	}
	if !bytes.Equal(got.Encoded, raw) {
		return Answer{}, errors.New("the genesis is bound to another manifest, roll or commune, or does not go on from the seed's last entry")
	}
	v.report.Signatures += 2
	return Answer{}, nil
}

func (v *epochVerification) tell(ref uint64, c checked, ans Answer) {
	if v.opt.Entry != nil {
		v.opt.Entry(ref, c.entry, c.batch)
	}
	if c.batch == nil {
		return
	}
	v.report.Signatures++
	if c.entry.Kind == EvidenceEntry {
		v.report.Evidence = append(v.report.Evidence, ref)
		return
	}
	for i, s := range c.batch.Statements {
		v.report.Statements[s.Body.Kind()]++
		if !ans.Verdicts[i].Clean() {
			v.report.Conflicts = append(v.report.Conflicts, Conflict{ref, i, s.Body.Kind(), c.batch.Header.Author, ans.Verdicts[i]})
		}
		// What an author without the office claims, or one whose statements have no effect, is no
		// promise of the ledger.
		if a, ok := s.Body.(*Anchored); ok && ans.Verdicts[i].Validity == Valid && ans.Verdicts[i].Class != Orphaned {
			_, position := SplitReference(ref)
			v.anchored = append(v.anchored, anchoredAt{position, a})
		}
	}
}
