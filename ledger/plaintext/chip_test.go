package plaintext

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"pointage/ledger"
)

var update = flag.Bool("update", false, "write testdata anew")

// content is a vector of an incident's content (SPEC 11).
type content struct {
	Says  string `json:"says"`
	Input string `json:"input"`
	Taken bool   `json:"taken"`
}

func contents() (out []content) {
	x := ChipNotProven{Bureau: 3, Record: ledger.StatementID{Session: ledger.SessionID{1, 2}, Sequence: 77}, Elector: ledger.ElectorToken{7}}
	good := x.Encode()
	put := func(taken bool, says string, in []byte) {
		out = append(out, content{says, hex.EncodeToString(in), taken})
	}
	with := func(at int, v ...byte) []byte { b := slices.Clone(good); copy(b[at:], v); return b }
	put(true, "an admission of bureau 3", good)
	put(true, "the largest sequence number", with(19, 0x40, 0, 0, 0, 0, 0, 0, 0))
	put(false, "nothing", nil)
	put(false, "the last byte is missing", good[:len(good)-1])
	put(false, "a byte behind it", append(slices.Clone(good), 0))
	put(false, "the first byte of another content", with(0, 6))
	put(false, "bureau 0", with(1, 0, 0))
	put(false, "sequence number 2^62 + 1", with(19, 0x40, 0, 0, 0, 0, 0, 0, 1))
	return out
}

func TestVectorsOfAChipThatProvedNothing(t *testing.T) {
	const path = "testdata/chip-not-proven.json"
	made, err := json.MarshalIndent(contents(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != string(made) {
		t.Errorf("%s is not what the code makes (-update writes it anew, which is a change of the specification)", path)
	}
	var vectors []content
	if err := json.Unmarshal(kept, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		in, err := hex.DecodeString(v.Input)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeChipNotProven(in)
		if taken := err == nil; taken != v.Taken {
			t.Errorf("%s: %v", v.Says, err)
		} else if taken && string(got.Encode()) != string(in) {
			t.Errorf("%s comes back as other bytes", v.Says)
		}
	}
}
