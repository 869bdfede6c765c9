package reconciliation

import (
	"encoding/hex"
	"encoding/json"

	"pointage/ledger"
)

// jsonReport is a Report as JSON: names in snake_case, statements by author and sequence number.
type jsonReport struct {
	Batches       int               `json:"batches"`
	Placed        int               `json:"placed"`
	Admitted      int               `json:"admitted"`
	Forks         []jsonFork        `json:"forks"`
	Double        [][]jsonStatement `json:"double_admissions"`
	Orphans       []jsonSpan        `json:"orphans"`
	Omissions     []jsonSpan        `json:"omissions"`
	Misconduct    []jsonMisconduct  `json:"misconduct"`
	Missing       []jsonMissing     `json:"missing"`
	Gaps          []jsonSpan        `json:"gaps"`
	Retired       []jsonSpan        `json:"after_retirement"`
	Provisionals  []jsonProvisional `json:"provisionals"`
	Activations   []jsonActivation  `json:"activations"`
	Equivocations []jsonStatement   `json:"equivocations"`
}

type jsonAuthor struct {
	Bureau      ledger.BureauNumber `json:"bureau"`
	Incarnation ledger.Incarnation  `json:"incarnation"`
	Session     string              `json:"session"`
}

func authorOf(a ledger.Author) jsonAuthor {
	return jsonAuthor{a.Bureau, a.Incarnation, hex.EncodeToString(a.Session[:])}
}

// jsonStatement names one; entry and epoch only where the ledger has it.
type jsonStatement struct {
	jsonAuthor
	Sequence uint64 `json:"sequence"`
	Kind     string `json:"kind"`
	Batch    string `json:"batch"`
	*place
}

// place is an entry: its position in its epoch.
type place struct {
	Epoch uint8  `json:"epoch"`
	Entry uint64 `json:"entry"`
}

func statementOf(r Record) jsonStatement {
	s := jsonStatement{jsonAuthor: authorOf(r.Author), Sequence: r.Sequence, Kind: r.Kind.String(), Batch: r.Batch.String()}
	if r.InLedger {
		s.place = &place{}
		s.Epoch, s.place.Entry = ledger.SplitReference(r.Entry)
	}
	return s
}

// jsonSpan is a stretch of statements, the last included.
type jsonSpan struct {
	jsonAuthor
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func spanOf(s Span) jsonSpan { return jsonSpan{authorOf(s.Author), s.From, s.To - 1} }

// jsonFork shows two signed headers as they are, in hexadecimal.
type jsonFork struct {
	First  string `json:"first"`
	Second string `json:"second"`
	Proved bool   `json:"proved"`
}

type jsonMisconduct struct {
	jsonStatement
	Validity ledger.Validity `json:"validity"`
	State    ledger.State    `json:"state"`
}

type jsonMissing struct {
	jsonSpan
	Signed bool `json:"signed"`
}

type jsonProvisional struct {
	jsonStatement
	Outcome string `json:"outcome"`
}

type jsonActivation struct {
	Bureau      ledger.BureauNumber `json:"bureau"`
	Incarnation ledger.Incarnation  `json:"incarnation"`
	Enrolled    bool                `json:"enrolled"`
	Settled     bool                `json:"settled"`
}

// MarshalJSON writes every list, an empty one as [].
func (r *Report) MarshalJSON() ([]byte, error) {
	c := jsonReport{
		Batches: r.Batches, Placed: r.Placed, Admitted: r.Admitted, Omissions: each(r.Omissions, spanOf),
		Orphans: each(r.Orphans, spanOf), Gaps: each(r.Gaps, spanOf), Retired: each(r.Retired, spanOf),
		Equivocations: each(r.Equivocations, statementOf),
	}
	c.Forks = each(r.Forks, func(f Fork) jsonFork {
		return jsonFork{hex.EncodeToString(f.First.Encode()), hex.EncodeToString(f.Second.Encode()), f.Proved}
	})
	c.Double = each(r.Double, func(d Double) []jsonStatement { return each(d.Records, statementOf) })
	c.Misconduct = each(r.Misconduct, func(m Misconduct) jsonMisconduct {
		return jsonMisconduct{statementOf(m.Record), m.Validity, m.State}
	})
	c.Missing = each(r.Missing, func(m Missing) jsonMissing { return jsonMissing{spanOf(m.Span), m.Signed} })
	c.Provisionals = each(r.Provisionals, func(p Provisional) jsonProvisional {
		return jsonProvisional{statementOf(p.Record), p.Outcome.String()}
	})
	c.Activations = each(r.Activations, func(a Activation) jsonActivation { return jsonActivation(a) })
	return json.Marshal(c)
}

// each is never nil: an empty list is [] in JSON.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}
