package ledger

// Report is what a verification saw. Where it refers to an entry, that is a Reference.
type Report struct {
	Election string
	Commune  Commune
	// EpochReport is that of the export's own epoch, the latest.
	EpochReport
	// Earlier are the epochs before, as far as the next one goes on from them.
	Earlier []EpochReport
	// Signatures is how many were checked.
	Signatures uint64
	// Statements counts by kind.
	Statements map[Kind]uint64
	// Bureaux is how many have statements.
	Bureaux int
	// Conflicts lists statements that are not clean.
	Conflicts []Conflict
	// Double lists rights with more than one live admission.
	Double []DoubleAdmission
	// Admitted is how many electors have a live admission.
	Admitted uint64
	// Evidence lists the evidence entries.
	Evidence []uint64
	// Places are those that amendments gave to bureaux, in place of the manifest's.
	Places map[BureauNumber]string
}

// EpochReport is what a verification saw of one epoch.
type EpochReport struct {
	Epoch  uint8
	Origin string
	// Entries is the number of Merkle leaves; Head the leaf hash of the last; Root
	// the tree's.
	Entries    uint64
	Head, Root Hash
	// Anchors is how many cosigned checkpoints stand in the export, Anchored the size
	// of the newest that a witness cosigned: above Entries in an epoch that lost some.
	Anchors  int
	Anchored uint64
	// Cosigners is how many bureaux cosigned the epoch's checkpoint, Certificate
	// whether a majority of the voting bureaux is among them.
	Cosigners   int
	Certificate bool
}

// Conflict is a statement with a verdict other than clean.
type Conflict struct {
	Position uint64
	Index    int
	Kind     Kind
	Author   Author
	Verdict  Verdict
}

// DoubleAdmission is a right that was used more than once, with all its records.
type DoubleAdmission struct {
	Kind    RightKind
	Records []LiveAdmission
}

func (v *epochVerification) countCosigners(sigs []Cosignature) {
	byName := map[string]bool{}
	for _, s := range sigs {
		byName[s.Name] = true
	}
	voting := 0
	for n := range v.g.Bureaux {
		if byName[v.g.CosignerName(n)] {
			v.said.Cosigners++
		}
	}
	for _, n := range v.g.Voting {
		if byName[v.g.CosignerName(n)] {
			voting++
		}
	}
	v.said.Certificate = voting > len(v.g.Voting)/2
}

func (v *verification) conclude() {
	authors := map[BureauNumber]bool{}
	for _, prefix := range []byte{keySession, keyEvidence} {
		v.view.Range([]byte{prefix}, func(k, _ []byte) bool {
			authors[BureauNumber(k[1])<<8|BureauNumber(k[2])] = true
			return true
		})
	}
	v.report.Bureaux = len(authors)
	v.report.Places = map[BureauNumber]string{}
	for n := range v.g.Bureaux {
		if place, ok := Relabelled(v.view, n); ok {
			v.report.Places[n] = place
		}
	}
	RangeAdmissions(v.view, func(x Right, as []LiveAdmission) bool {
		if x.Kind == Admit {
			v.report.Admitted++
		}
		if len(as) > 1 {
			v.report.Double = append(v.report.Double, DoubleAdmission{x.Kind, as})
		}
		return true
	})
}
