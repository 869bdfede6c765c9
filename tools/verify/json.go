package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// summary is the result as JSON: hashes in lower-case hexadecimal, counts as numbers.
type summary struct {
	Holds    bool   `json:"holds"`
	Offence  string `json:"offence,omitempty"`
	Where    string `json:"where,omitempty"`
	Manifest string `json:"manifest_hash,omitempty"`
	Compared bool   `json:"manifest_compared"`
	Verdict  string `json:"verdict"`
	*details
}

// details are there when the export holds.
type details struct {
	Election    string                 `json:"election"`
	Commune     ledger.Commune         `json:"commune"`
	Origin      string                 `json:"origin"`
	Entries     uint64                 `json:"entries"`
	Head        string                 `json:"head"`
	Root        string                 `json:"root"`
	Signatures  uint64                 `json:"signatures"`
	Statements  map[string]uint64      `json:"statements"`
	Bureaux     int                    `json:"bureaux"`
	Admitted    uint64                 `json:"admitted"`
	Identified  identifications        `json:"identified"`
	Conflicts   []conflict             `json:"conflicts"`
	Evidence    []uint64               `json:"evidence"`
	EvidenceAt  []place                `json:"evidence_at"`
	Double      [][]record             `json:"double_admissions"`
	Anchors     int                    `json:"anchors"`
	Anchored    uint64                 `json:"anchored_size"`
	Cosigners   int                    `json:"cosigners"`
	Certificate bool                   `json:"certificate"`
	TookSeconds float64                `json:"took_seconds"`
	Epoch       uint8                  `json:"epoch"`
	Earlier     []epoch                `json:"earlier_epochs"`
	Places      map[string]string      `json:"places"`
	Chains      *reconciliation.Report `json:"reconciliation"`
}

type epoch struct {
	Epoch       uint8  `json:"epoch"`
	Origin      string `json:"origin"`
	Entries     uint64 `json:"entries"`
	Head        string `json:"head"`
	Root        string `json:"root"`
	Anchors     int    `json:"anchors"`
	Anchored    uint64 `json:"anchored_size"`
	Cosigners   int    `json:"cosigners"`
	Certificate bool   `json:"certificate"`
}

// place is an entry: its position in its epoch.
type place struct {
	Epoch uint8  `json:"epoch"`
	Entry uint64 `json:"entry"`
}

func placeOf(ref uint64) (p place) {
	p.Epoch, p.Entry = ledger.SplitReference(ref)
	return p
}

type conflict struct {
	Entry     uint64              `json:"entry"`
	Statement int                 `json:"statement"`
	Kind      string              `json:"kind"`
	Bureau    ledger.BureauNumber `json:"bureau"`
	Validity  ledger.Validity     `json:"validity"`
	Class     ledger.Class        `json:"class"`
	Against   uint64              `json:"against"`
	Epoch     uint8               `json:"epoch"`
	AgainstIn uint8               `json:"against_epoch"`
}

type record struct {
	Right    string              `json:"right"`
	Entry    uint64              `json:"entry"`
	Bureau   ledger.BureauNumber `json:"bureau"`
	Session  string              `json:"session"`
	Sequence uint64              `json:"sequence"`
	Epoch    uint8               `json:"epoch"`
}

func (r *result) writeJSON(w io.Writer) error {
	s := summary{Holds: r.err == nil, Compared: r.compared, Verdict: r.verdict()}
	if r.export != nil {
		s.Manifest = r.export.Hash.String()
	}
	var o *ledger.Offended
	if errors.As(r.err, &o) {
		s.Offence, s.Where = o.Error(), o.Where
	}
	if r.err == nil {
		s.details = r.details()
	}
	if err := json.NewEncoder(w).Encode(s); err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	return nil
}

func (r *result) details() *details {
	p := r.report
	d := &details{
		Election: p.Election, Commune: p.Commune, Origin: p.Origin, Entries: p.Entries, Head: p.Head.String(), Root: p.Root.String(),
		Signatures: p.Signatures, Statements: map[string]uint64{}, Bureaux: p.Bureaux, Admitted: p.Admitted, Identified: r.identified.counts(), Conflicts: []conflict{},
		Evidence: []uint64{}, EvidenceAt: []place{}, Epoch: p.Epoch, Earlier: []epoch{}, Places: map[string]string{}, Double: [][]record{}, Anchors: p.Anchors, Anchored: p.Anchored, Cosigners: p.Cosigners,
		Certificate: p.Certificate, TookSeconds: r.took.Seconds(),
	}
	for k, n := range p.Statements {
		d.Statements[k.String()] = n
	}
	for _, ref := range p.Evidence {
		d.Evidence, d.EvidenceAt = append(d.Evidence, placeOf(ref).Entry), append(d.EvidenceAt, placeOf(ref))
	}
	for _, e := range p.Earlier {
		d.Earlier = append(d.Earlier, epoch{e.Epoch, e.Origin, e.Entries, e.Head.String(), e.Root.String(), e.Anchors, e.Anchored, e.Cosigners, e.Certificate})
	}
	for n, name := range p.Places {
		d.Places[strconv.Itoa(int(n))] = name
	}
	for _, c := range p.Conflicts {
		at, against := placeOf(c.Position), placeOf(c.Verdict.Against)
		d.Conflicts = append(d.Conflicts, conflict{at.Entry, c.Index, c.Kind.String(), c.Author.Bureau, c.Verdict.Validity, c.Verdict.Class, against.Entry, at.Epoch, against.Epoch})
	}
	for _, x := range p.Double {
		var rs []record
		for _, a := range x.Records {
			at := placeOf(a.Position)
			rs = append(rs, record{x.Kind.String(), at.Entry, a.Bureau, hex.EncodeToString(a.ID.Session[:]), a.ID.Sequence, at.Epoch})
		}
		d.Double = append(d.Double, rs)
	}
	d.Chains = r.chains
	return d
}
