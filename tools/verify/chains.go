package main

import (
	"encoding/hex"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// chains is the reconciliation report as JSON.
type chains struct {
	Forks         []fork        `json:"forks"`
	Double        [][]statement `json:"double_admissions"`
	Orphans       []span        `json:"orphans"`
	Misconduct    []misconduct  `json:"misconduct"`
	Missing       []missing     `json:"missing"`
	Gaps          []span        `json:"gaps"`
	Retired       []span        `json:"after_retirement"`
	Provisionals  []provisional `json:"provisionals"`
	Activations   []activation  `json:"activations"`
	Equivocations []statement   `json:"equivocations"`
}

type author struct {
	Bureau      ledger.BureauNumber `json:"bureau"`
	Incarnation ledger.Incarnation  `json:"incarnation"`
	Session     string              `json:"session"`
}

func authorOf(a ledger.Author) author {
	return author{a.Bureau, a.Incarnation, hex.EncodeToString(a.Session[:])}
}

// statement names one; entry and epoch only where the ledger has it.
type statement struct {
	author
	Sequence uint64 `json:"sequence"`
	Kind     string `json:"kind"`
	Batch    string `json:"batch"`
	*place
}

func statementOf(r reconciliation.Record) statement {
	s := statement{author: authorOf(r.Author), Sequence: r.Sequence, Kind: r.Kind.String(), Batch: r.Batch.String()}
	if r.InLedger {
		at := placeOf(r.Entry)
		s.place = &at
	}
	return s
}

// span is a stretch of statements, the last included.
type span struct {
	author
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func spanOf(s reconciliation.Span) span { return span{authorOf(s.Author), s.From, s.To - 1} }

// fork shows two signed headers as they are, in hexadecimal.
type fork struct {
	First  string `json:"first"`
	Second string `json:"second"`
	Proved bool   `json:"proved"`
}

type misconduct struct {
	statement
	Validity ledger.Validity `json:"validity"`
	State    ledger.State    `json:"state"`
}

type missing struct {
	span
	Signed bool `json:"signed"`
}

type provisional struct {
	statement
	Outcome string `json:"outcome"`
}

type activation struct {
	Bureau      ledger.BureauNumber `json:"bureau"`
	Incarnation ledger.Incarnation  `json:"incarnation"`
	Enrolled    bool                `json:"enrolled"`
	Settled     bool                `json:"settled"`
}

func chainsOf(r *reconciliation.Report) *chains {
	c := &chains{
		Orphans: each(r.Orphans, spanOf), Gaps: each(r.Gaps, spanOf), Retired: each(r.Retired, spanOf),
		Equivocations: each(r.Equivocations, statementOf),
	}
	c.Forks = each(r.Forks, func(f reconciliation.Fork) fork {
		return fork{hex.EncodeToString(f.First.Encode()), hex.EncodeToString(f.Second.Encode()), f.Proved}
	})
	c.Double = each(r.Double, func(d reconciliation.Double) []statement { return each(d.Records, statementOf) })
	c.Misconduct = each(r.Misconduct, func(m reconciliation.Misconduct) misconduct {
		return misconduct{statementOf(m.Record), m.Validity, m.State}
	})
	c.Missing = each(r.Missing, func(m reconciliation.Missing) missing { return missing{spanOf(m.Span), m.Signed} })
	c.Provisionals = each(r.Provisionals, func(p reconciliation.Provisional) provisional {
		return provisional{statementOf(p.Record), p.Outcome.String()}
	})
	c.Activations = each(r.Activations, func(a reconciliation.Activation) activation { return activation(a) })
	return c
}

// each is never nil: an empty list is [] in JSON.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}
