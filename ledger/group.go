package ledger

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
)

// Group is what the rules of one commune's ledger need to know of the manifest;
// package election makes it from the signed file.
type Group struct {
	// Election is the election's name, as in the origin of its checkpoints.
	Election string
	Manifest Hash
	Commune  Commune
	// Bureaux by number; keys by incarnation.
	Bureaux map[BureauNumber]*BureauKeys
	// Principal leads and signs checkpoints; Deputy does so while it leads.
	Principal, Deputy BureauNumber
	// Voting are the bureaux whose machines vote in Raft, at most seven.
	Voting []BureauNumber
	// Provisional says that the policy is provisional rather than strict.
	Provisional bool
	// LogKey verifies checkpoints; its note name is the origin.
	LogKey ed25519.PublicKey
	// Signatories are the keys of those who may sign amendments, by number.
	Signatories map[uint16]Signatory
	// Witnesses cosign checkpoints, ADELE first.
	Witnesses []*NoteKey
	Roll      *Roll
}

// BureauKeys are one bureau's public keys, by incarnation.
type BureauKeys struct {
	// Device signs batches and is the machine's identity on the network.
	Device [Incarnations]ed25519.PublicKey
	// Cosigner cosigns checkpoints.
	Cosigner [Incarnations]ed25519.PublicKey
}

// Signatory may sign amendments. One of the two who do must be of the
// principal or the deputy bureau.
type Signatory struct {
	Key     ed25519.PublicKey
	Bureau  BureauNumber
	Leading bool
}

// Key is the device key of an incarnation, nil when there is none.
func (g *Group) Key(n BureauNumber, i Incarnation) ed25519.PublicKey {
	b := g.Bureaux[n]
	if b == nil || i >= Incarnations {
		return nil
	}
	return b.Device[i]
}

// Home is the elector's home bureau by the roll.
func (g *Group) Home(e ElectorToken) (BureauNumber, bool) { return g.Roll.Home(e) }

// MaxEpoch is the last epoch that witnesses know beforehand.
const MaxEpoch = 9

// Origin names the log of one epoch: <election>/<commune>/epoch-<n>.
func (g *Group) Origin(epoch uint8) string {
	return fmt.Sprintf("%s/%d/epoch-%d", g.Election, g.Commune, epoch)
}

// CosignerName is the note key name of a bureau's cosignatures.
func (g *Group) CosignerName(n BureauNumber) string {
	return fmt.Sprintf("%s/%d/bureau-%d", g.Election, g.Commune, n)
}

// Cosigners are the keys whose lines a checkpoint may carry after the log's, in the
// order of the lines: bureaux ascending, each by incarnation, then witnesses.
func (g *Group) Cosigners() []*NoteKey {
	var out []*NoteKey
	for _, n := range slices.Sorted(maps.Keys(g.Bureaux)) {
		for _, k := range g.Bureaux[n].Cosigner {
			if k != nil {
				out = append(out, CosignerKey(g.CosignerName(n), k))
			}
		}
	}
	return append(out, g.Witnesses...)
}
