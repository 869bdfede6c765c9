package ledgertest

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

type storedHashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fmt.Errorf("hash %d of %d", x, len(s))
		}
		out[i] = s[x]
	}
	return out, nil
}

func (d *Day) add(entries ...ledger.PlacedEntry) {
	d.tb.Helper()
	for _, e := range entries {
		hs, err := tlog.StoredHashes(int64(e.Entry.Position), e.Encoded, d.hashes)
		if err != nil {
			d.tb.Fatal(err)
		}
		d.hashes, d.Entries = append(d.hashes, hs...), append(d.Entries, e)
	}
}

// Checkpoint is that of the epoch's entries so far.
func (d *Day) Checkpoint() ledger.Checkpoint { return d.checkpointAt(uint64(len(d.Entries))) }

func (d *Day) checkpointAt(size uint64) ledger.Checkpoint {
	d.tb.Helper()
	root, err := tlog.TreeHash(int64(size), d.hashes)
	if err != nil {
		d.tb.Fatal(err)
	}
	return ledger.Checkpoint{Origin: d.Group.Origin(d.Epoch), Size: size, Root: ledger.Hash(root)}
}

// cosigned is the checkpoint's note with every bureau's line.
func (d *Day) cosigned(c ledger.Checkpoint, seconds uint64) []byte {
	d.tb.Helper()
	note, err := ledger.SignCheckpoint(c, Key("log"))
	if err != nil {
		d.tb.Fatal(err)
	}
	lines := ""
	for _, b := range d.Manifest.Communes[0].Bureaux[:min(len(d.Manifest.Communes[0].Bureaux), ledger.MaxCosignatures-1)] {
		lines += ledger.Cosign(c, d.Group.CosignerName(b.Number), Key(CosignerName(b.Number, 0)), seconds)
	}
	return append(note, lines...)
}

// Anchor signs the checkpoint, has every bureau and the witness cosign it, and keeps it.
// It returns what the principal bureau states of it.
func (d *Day) Anchor() *ledger.Anchored {
	d.tb.Helper()
	c, seconds := d.Checkpoint(), uint64(Opens/1000)+uint64(len(d.Entries))
	note := append(d.cosigned(c, seconds), ledger.Cosign(c, WitnessName, Key("witness"), seconds)...)
	d.Anchors = append(d.Anchors, note)
	_, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(c.Origin, d.Group.LogKey), d.Group.Cosigners())
	if err != nil {
		d.tb.Fatal(err)
	}
	last := sigs[len(sigs)-1]
	return &ledger.Anchored{Epoch: d.Epoch, Size: c.Size, Root: c.Root, Witness: last.KeyHash, Cosigned: last.Seconds, Signature: last.Signature}
}

// Export is the day's files by name, after an anchor of all entries.
func (d *Day) Export() map[string][]byte {
	d.tb.Helper()
	d.Anchor()
	files := map[string][]byte{ledger.ManifestFile: d.File, ledger.RollFile: d.Roll.Encode()}
	d.files(files, "", uint64(len(d.Entries)), d.Anchors[len(d.Anchors)-1])
	for name, b := range d.earlier {
		files[name] = b
	}
	return files
}

// files adds those of the epoch up to a size, behind a prefix.
func (d *Day) files(files map[string][]byte, prefix string, size uint64, checkpoint []byte) {
	d.tb.Helper()
	g := d.Group
	var witnesses strings.Builder
	for _, w := range g.Witnesses {
		witnesses.WriteString(w.VKey() + "\n")
	}
	files[prefix+ledger.OriginFile] = []byte(g.Origin(d.Epoch) + "\n")
	files[prefix+ledger.CheckpointFile] = checkpoint
	files[prefix+ledger.LogVKeyFile] = []byte(ledger.LogVKey(g.Origin(d.Epoch), g.LogKey) + "\n")
	files[prefix+ledger.WitnessFile] = []byte(witnesses.String())
	for i, a := range d.Anchors {
		files[prefix+ledger.AnchorFile(i)] = a
	}
	for _, t := range ledger.HashTiles(size) {
		data, err := tlog.ReadTileData(t, d.hashes)
		if err != nil {
			d.tb.Fatal(err)
		}
		files[prefix+ledger.TilePath(t)] = data
	}
	for _, t := range ledger.EntryBundles(size) {
		var data []byte
		for _, e := range d.Entries[t.N*ledger.TileWidth:][:t.W] {
			data = ledger.AppendToBundle(data, e.Encoded)
		}
		files[prefix+ledger.TilePath(t)] = data
	}
}

// Seed is one of the epoch's first entries, signed by both signatories.
func (d *Day) Seed(size uint64) *ledger.Seed {
	d.tb.Helper()
	s := &ledger.Seed{Checkpoint: d.cosigned(d.checkpointAt(size), uint64(Opens/1000)), Signers: [2]uint16{1, 2}}
	msg := s.SignedBytes(d.Group.Manifest, d.Group.Commune, d.Epoch+1)
	copy(s.Signatures[0][:], ed25519.Sign(Key("signatory 1"), msg))
	copy(s.Signatures[1][:], ed25519.Sign(Key("signatory 2"), msg))
	return s
}

// EarlierEntries are those of an epoch before, up to the seed of the next.
func (d *Day) EarlierEntries(epoch uint8) []ledger.PlacedEntry { return d.seeds[epoch].entries }

// Recover begins the next epoch from the first entries of this one; those behind are lost.
func (d *Day) Recover(size uint64) {
	d.tb.Helper()
	seed, root := d.Seed(size), d.checkpointAt(size).Root
	if d.earlier == nil {
		d.earlier = map[string][]byte{}
	}
	d.files(d.earlier, ledger.EpochDir(d.Epoch)+"/", size, seed.Checkpoint)
	d.seeds = append(d.seeds, pastEpoch{d.Entries[:size], seed, root})
	d.View = ledger.NewMemoryView()
	for i, p := range d.seeds {
		for j, e := range p.entries {
			if j == 0 && i > 0 {
				continue
			}
			if _, err := ledger.Replay(d.Group, d.View, e.Encoded); err != nil {
				d.tb.Fatalf("epoch %d entry %d: %v", i, j, err)
			}
		}
		genesis, err := ledger.BeginEpoch(d.Group, d.View, p.seed, p.root)
		if err != nil {
			d.tb.Fatal(err)
		}
		d.Entries, d.hashes = nil, nil
		d.add(genesis)
	}
	d.Epoch, d.Anchors = d.Epoch+1, nil
}

// Full is a day of three bureaux that has a statement of nearly every kind, a proxy, an away
// right that came and one that went back, a double attempt and an amendment.
func Full(d *Day) {
	one, two, three := d.Started(1), d.Started(2), d.Started(3)
	one.Put(&ledger.BureauOpened{Register: d.Manifest.Communes[0].Register}, &ledger.Attendance{Member: 1, Presence: ledger.Active},
		&ledger.Account{Member: 1, Sealed: []byte("sealed account")})
	one.Put(Admission(0), Admission(3))
	home := ledger.Right{Elector: Elector(6), Kind: ledger.Admit}
	rel := one.Sign(&ledger.Release{Right: home, To: 2})
	d.Place(rel)
	x := d.encode(rel.Extract(0))
	two.Put(&ledger.Hold{Right: home, Release: x}, Admission(6), Admission(1))
	two.Put(&ledger.ProxyAdmission{Holder: Elector(1), Principal: Elector(4), Form: []byte("F-17"), Reason: 1, Evidence: 1, Means: ledger.ByCard, Attester: 2})
	back := ledger.Right{Elector: Elector(2), Kind: ledger.Admit}
	rel2 := three.Sign(&ledger.Release{Right: back, To: 1})
	d.Place(rel2)
	ret := one.Sign(&ledger.Return{Right: back, Release: d.encode(rel2.Extract(0))})
	d.Place(ret)
	three.Put(&ledger.Restored{Right: back, Return: d.encode(ret.Extract(0))}, &ledger.Admission{Elector: Elector(2), Nonce: 1, Means: ledger.ByNationalNumber, Attester: 3})
	three.Put(&ledger.AttemptRefused{Elector: Elector(6), Refusal: ledger.ReleasedElsewhere, Means: ledger.ByCard, Attester: 3, Denial: x})
	one.Put(d.Anchor())
	at := one.At.Next
	one.Put(Admission(9), &ledger.Void{Sequence: at, Rights: ledger.Touches(Admission(9)), Reason: 1})
	two.Put(Admission(7), &ledger.Annulment{
		Record: ledger.StatementID{Session: two.Author.Session, Sequence: two.At.Next}, Rights: ledger.Touches(Admission(7)),
		Reason: 2, Attesters: [2]uint16{4, 5},
	})
	one.Put(d.Amend(ledger.Amendment{Number: 1, Act: ledger.Relabel, Bureau: 3, Place: []byte("Gemeentehuis")}))
	one.Put(&ledger.Count{CheckedIn: 2, Issued: 2, Scanned: 2}, &ledger.Incident{Code: 4}, &ledger.Message{To: 0, Sealed: []byte("sealed word")},
		&ledger.Custody{From: 1, To: 2, Step: 1}, &ledger.BureauClosed{CheckedIn: 2})
}

// Rewrite changes entries as whoever holds the log's key could: change sees each in turn, and
// what follows is linked, hashed and signed anew, so that only the change itself is wrong. Days
// with anchored statements can't be rewritten: those name the old tree.
func (d *Day) Rewrite(change func(*ledger.Entry)) {
	d.tb.Helper()
	old := d.Entries
	d.Entries, d.hashes, d.Anchors = nil, nil, nil
	var last ledger.Hash
	for _, p := range old {
		e, err := ledger.DecodeEntry(p.Encoded)
		if err != nil {
			d.tb.Fatal(err)
		}
		if e.Position > 0 {
			e.Previous = last
		}
		change(e)
		encoded, err := e.Encode()
		if err != nil {
			d.tb.Fatal(err)
		}
		last = ledger.LeafHash(encoded)
		p.Encoded, p.Entry = encoded, &ledger.Entry{Position: uint64(len(d.Entries))}
		d.add(p)
	}
}

// Short is a day of two bureaux with few bytes: an admission, a right that went away and was
// used there, a refused attempt and an anchor.
func Short(d *Day) {
	one, two := d.Started(1), d.Started(2)
	right := ledger.Right{Elector: Elector(0), Kind: ledger.Admit}
	rel := one.Sign(&ledger.Release{Right: right, To: 2}, Admission(2))
	d.Place(rel)
	x := d.encode(rel.Extract(0))
	two.Put(&ledger.Hold{Right: right, Release: x}, Admission(0))
	one.Put(d.Anchor())
	two.Put(&ledger.AttemptRefused{Elector: Elector(0), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 3})
}

func (d *Day) encode(x *ledger.Extract) []byte {
	d.tb.Helper()
	b, err := x.Encode()
	if err != nil {
		d.tb.Fatal(err)
	}
	return b
}
