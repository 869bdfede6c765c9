package node

import (
	"context"
	"errors"
	"net/http"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
	"pointage/node/register"
)

// accountRefusals are those of an account number, by what is wrong with it.
var accountRefusals = map[error]daybook.Refusal{
	plaintext.ErrIBANForm: daybook.AccountForm, plaintext.ErrIBANCountry: daybook.AccountCountry,
	plaintext.ErrIBANLength: daybook.AccountLength, plaintext.ErrIBANCheck: daybook.AccountCheck,
}

// RecordAccount states the bank account of an active member (decree art. 8 § 2). The number is checked and sealed to
// the commune's pay office here, before anything else sees it: journal, ledger and platform hold what only that
// office can open. The last one of a member counts.
func (n *Node) RecordAccount(ctx context.Context, member uint16, iban string) (daybook.Refusal, error) {
	account, err := plaintext.ParseIBAN(iban)
	if err != nil {
		for is, why := range accountRefusals {
			if errors.Is(err, is) {
				return why, nil
			}
		}
		return daybook.AccountForm, nil
	}
	return n.state(ctx, func(book *daybook.Book) (ledger.Body, daybook.Refusal, error) {
		office := n.prepared.Commune.PayOffice
		switch presence, known := book.Presence(n.cfg.Bureau)[member]; {
		case office == "":
			return nil, daybook.NoPayOffice, nil
		case !n.isMember(book, member):
			return nil, daybook.NoSuchMember, nil
		case !known || presence != ledger.Active:
			return nil, daybook.NotActive, nil
		}
		x := plaintext.Account{Bureau: n.cfg.Bureau, Member: member, IBAN: account}
		plain := x.Encode()
		defer clear(plain)
		sealed, err := register.SealTo(office, plain)
		return &ledger.Account{Member: member, Sealed: sealed}, daybook.Recorded, err
	})
}

func (a *api) recordAccount(r *http.Request) (any, error) {
	var in struct {
		Member uint16 `json:"member"`
		IBAN   string `json:"iban"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return actAnswerOf(a.node.RecordAccount(r.Context(), in.Member, in.IBAN))
}
