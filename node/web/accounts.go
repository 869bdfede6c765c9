package web

import (
	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
)

// accountsPage takes the active members' bank accounts (decree art. 8 § 2). What is typed goes to the bureau to be
// sealed and comes back on no page: not in a field, not in an answer, not when it is wrong. Its field is named as a
// secret, so that what is kept of a form when a table locks leaves it out.
var accountsPage = page{name: "accounts", who: assessor, nav: true, show: showAccounts, acts: map[string]act{"record": recordAccount}}

type accountsData struct {
	Members   []daybook.Member
	PayOffice bool
}

// FunctionKey names a function.
func (accountsData) FunctionKey(f string) string { return functionKey(f) }

func showAccounts(v *visit) (any, error) {
	a, err := v.bureau.Attendance(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := accountsData{PayOffice: a.PayOffice}
	for _, m := range a.Members {
		if m.Presence == ledger.Active {
			out.Members = append(out.Members, m)
		}
	}
	return out, nil
}

func recordAccount(v *visit) (reply, error) {
	member, ok, err := v.typed("member", 16)
	if err != nil {
		return reply{}, err
	}
	iban, err := v.field("secret-account", plaintext.MaxTypedIBAN)
	if err != nil {
		return v.told(daybook.AccountForm, "")
	}
	if !ok {
		return v.told(daybook.NoSuchMember, "")
	}
	why, err := v.bureau.RecordAccount(v.r.Context(), uint16(member), iban)
	if err != nil {
		return reply{}, err
	}
	return v.told(why, "acts.saved")
}
