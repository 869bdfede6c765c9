package web

import (
	"encoding/base64"
	"fmt"
	"io"

	"pointage/ledger"
	"pointage/node/daybook"
)

// relabelPage changes the place of a key whose pouch was delivered elsewhere: signed by two persons of the manifest, or
// asked of the principal bureau where their keys are not.
var relabelPage = page{name: "relabel", who: president, show: showRelabel, acts: map[string]act{"do": doRelabel, "ask": askRelabel}}

// Signatory is a person of the manifest who may sign, as the screens show him.
type Signatory struct {
	Number uint16
	// Bureau is where he presides, 0 for none; Here: his sealed key lies on this machine or its media.
	Bureau ledger.BureauNumber
	Here   bool
}

// Relabelling is the place where a bureau's key really is, and who signs that.
type Relabelling struct {
	Bureau  ledger.BureauNumber
	Place   string
	Signers [2]SignedBy
}

// SignedBy is one of the two: the number of a signatory whose key is here, or else the sealed key that was chosen in the
// browser, or the path on this machine of its file or of the drive that it is on; and what opens it.
type SignedBy struct {
	Number           uint16
	Sealed           []byte
	File, Passphrase string
}

// maxSealed is the length of a sealed key in base64, in bytes.
const maxSealed = 12 << 10

// Format writes "signer (withheld)" whatever the verb.
func (SignedBy) Format(f fmt.State, _ rune) { io.WriteString(f, "signer (withheld)") }

// Relabelled is what came of it.
type Relabelled struct {
	Refusal RelabelRefusal
	// Signer is 1 or 2 where a refusal is about one of them.
	Signer int
	// Number is the amendment's; it has effect once the group has it.
	Number    uint16
	Effective bool
}

// RelabelRefusal is why nothing was changed, 0 when it was.
type RelabelRefusal uint8

// The refusals.
const (
	PlaceUnfit    RelabelRefusal = 1
	SignatoryShut RelabelRefusal = 2
	SamePerson    RelabelRefusal = 3
	MayNotSign    RelabelRefusal = 4
)

func relabelKey(r RelabelRefusal) string { return fmt.Sprintf("relabel.refusal-%d", r) }

func relabelKeys() (out []string) {
	for r := PlaceUnfit; r <= MayNotSign; r++ {
		out = append(out, relabelKey(r))
	}
	return out
}

// relabelView is what the page shows.
type relabelView struct {
	// Bureaux are those of the commune, with their places.
	Bureaux []daybook.Load
	Chosen  ledger.BureauNumber
	Place   string
	// Keys are the signatories whose keys are here; Leads: this is the principal bureau or its deputy.
	Keys  []Signatory
	Leads bool
	// Sides are 1 and 2.
	Sides []int
}

// First says which key a side is offered first: each another one.
func (relabelView) First(side, key int) bool { return key == side-1 }

// Elsewhere says that no key here is left for a side: whoever signs there points to his own.
func (r relabelView) Elsewhere(side int) bool { return len(r.Keys) < side }

func showRelabel(v *visit) (any, error) { return v.relabel(v.bureau.Facts().Bureau, "") }

func (v *visit) relabel(chosen ledger.BureauNumber, place string) (relabelView, error) {
	f := v.bureau.Facts()
	flow, err := v.bureau.Flow(v.r.Context())
	if err != nil {
		return relabelView{}, err
	}
	out := relabelView{Bureaux: flow.Bureaux, Chosen: chosen, Place: place, Leads: f.Bureau == f.Principal || f.Bureau == f.Deputy, Sides: []int{1, 2}}
	for _, s := range v.bureau.Signatories() {
		if s.Here {
			out.Keys = append(out.Keys, s)
		}
	}
	return out, nil
}

// relabelled reads the form's bureau and place.
func (v *visit) relabelled() (ledger.BureauNumber, string, error) {
	b, err := v.number("bureau", ledger.MaxBureaux)
	if err != nil {
		return 0, "", err
	}
	if v.bureau.Place(ledger.BureauNumber(b)) == "" {
		return 0, "", errField("bureau")
	}
	place, err := v.field("place", maxTextField)
	return ledger.BureauNumber(b), place, err
}

func doRelabel(v *visit) (reply, error) {
	b, place, err := v.relabelled()
	if err != nil {
		return reply{}, err
	}
	x := Relabelling{Bureau: b, Place: place}
	for i := range x.Signers {
		by, side := &x.Signers[i], fmt.Sprint(i+1)
		n, err := v.number("signer-"+side, 1<<16-1)
		if err != nil {
			return reply{}, err
		}
		by.Number = uint16(n)
		if by.File, err = v.field("file-"+side, maxTextField); err != nil {
			return reply{}, err
		}
		// "secret": it is kept in no draft.
		chosen, err := v.field("secret-key-"+side, maxSealed)
		if err != nil {
			return reply{}, err
		}
		if by.Sealed, err = base64.StdEncoding.DecodeString(chosen); err != nil {
			return reply{}, errField("secret-key-" + side)
		}
		if by.Passphrase, err = v.field("secret-"+side, 1024); err != nil {
			return reply{}, err
		}
	}
	got, err := v.bureau.Relabel(v.r.Context(), x)
	if err != nil {
		return reply{}, err
	}
	switch {
	case got.Refusal != 0:
		v.log.Warn("a key's place was not changed", "bureau", b, "refusal", uint8(got.Refusal))
		v.said(false, relabelKey(got.Refusal), got.Signer)
		data, err := v.relabel(b, place)
		return reply{data: data, status: 422}, err
	case got.Effective:
		v.said(true, "relabel.done", b, place)
	default:
		v.said(true, "relabel.later", got.Number)
	}
	return reply{to: "/opening"}, nil
}

// askRelabel has the principal bureau asked, in a message that is signed and kept.
func askRelabel(v *visit) (reply, error) {
	b, place, err := v.relabelled()
	if err != nil {
		return reply{}, err
	}
	f := v.bureau.Facts()
	if place == "" || len(place) > ledger.MaxPlace {
		v.said(false, relabelKey(PlaceUnfit), 0)
		data, err := v.relabel(b, place)
		return reply{data: data, status: 422}, err
	}
	why, err := v.bureau.SendMessage(v.r.Context(), f.Principal, v.lang.say("relabel.message", b, place, v.bureau.Place(b)))
	if err != nil {
		return reply{}, err
	}
	if why != daybook.Recorded {
		return v.told(why, "")
	}
	v.said(true, "relabel.asked", f.Principal, v.bureau.Place(f.Principal))
	return reply{to: "/opening"}, nil
}
