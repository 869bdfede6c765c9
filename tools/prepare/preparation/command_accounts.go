package preparation

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/plaintext"
	"pointage/node/register"
)

func runAccounts(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newAct("accounts", `prepare accounts --identity FILE --letter FILE --out FILE.csv EXPORT

Reads the members' accounts from an export of the commune's ledger, with the pay office's
identity: bureau, member's number, account. The export must hold. An account that was stated
twice counts as stated last.

  prepare accounts --identity pay.age --letter pay.letter --out accounts.csv testnet-out/export/21014
`, stdout)
	identity := f.String("identity", "", "`file` with the pay office's sealed identity")
	letter := f.String("letter", "", "`file` with its passphrase")
	out := f.String("out", "", "new `file` for the accounts")
	trusted := f.String("manifest-hash", "", "the manifest's SHA-256 as it was published, `hexadecimal`")
	if err := f.parse(args); err != nil {
		return err
	}
	if *identity == "" || *letter == "" || *out == "" || f.NArg() != 1 {
		return wrongUse(`accounts: give --identity, --letter, --out and one export; see "prepare accounts --help"`)
	}
	if err := absent(*out); err != nil {
		return err
	}
	id, err := openIdentity("accounts", *identity, *letter)
	if err != nil {
		return err
	}
	x, err := election.OpenExport(os.DirFS(f.Arg(0)))
	if err != nil {
		return wrongUse("accounts: %s: %w", f.Arg(0), err)
	}
	if *trusted != "" && *trusted != hex.EncodeToString(x.Hash[:]) {
		return wrongUse("accounts: the export's manifest has the hash %v, not the one that was given", x.Hash)
	}
	a := accounts{id: id, of: map[accountKey]*plaintext.Account{}}
	opt := ledger.Options{Workers: runtime.GOMAXPROCS(0), Entry: a.entry}
	if _, err := ledger.Verify(ctx, os.DirFS(f.Arg(0)), x.Group, x.Epoch, opt); err != nil {
		return fmt.Errorf("accounts: the export does not hold: %w", err)
	}
	if err := writeFile(*out, a.write); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d accounts, %d statements that this identity does not open\n", len(a.of), a.shut)
	return nil
}

// accountKey names a member of a bureau.
type accountKey struct {
	bureau ledger.BureauNumber
	member uint16
}

// accounts are the last of each member.
type accounts struct {
	id   *age.HybridIdentity
	of   map[accountKey]*plaintext.Account
	shut int
}

// entry takes the accounts of an entry that holds.
func (a *accounts) entry(_ uint64, e *ledger.Entry, b *ledger.Batch) {
	if b == nil || e.Kind != ledger.BatchEntry {
		return
	}
	for i, s := range b.Statements {
		body, ok := s.Body.(*ledger.Account)
		if !ok || e.Verdicts[i].Validity != ledger.Valid {
			continue
		}
		account := a.open(b.Header.Author.Bureau, body)
		if account == nil {
			a.shut++
			continue
		}
		a.of[accountKey{account.Bureau, account.Member}] = account
	}
}

// open is nil for what is sealed to somebody else, or was made for another member or bureau.
func (a *accounts) open(b ledger.BureauNumber, body *ledger.Account) *plaintext.Account {
	plain, err := register.OpenWith(a.id, body.Sealed)
	if err != nil {
		return nil
	}
	defer clear(plain)
	account, err := plaintext.DecodeAccount(plain)
	if err != nil || account.Bureau != b || account.Member != body.Member {
		return nil
	}
	return account
}

func (a *accounts) write(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"bureau", "member", "account"}}
	for _, k := range slices.SortedFunc(maps.Keys(a.of), func(x, y accountKey) int {
		return cmp.Or(cmp.Compare(x.bureau, y.bureau), cmp.Compare(x.member, y.member))
	}) {
		rows = append(rows, []string{strconv.Itoa(int(k.bureau)), strconv.Itoa(int(k.member)), a.of[k].IBAN.Digits()})
	}
	return out.WriteAll(rows)
}
