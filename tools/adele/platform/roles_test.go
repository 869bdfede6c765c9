package platform

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
)

// asks is for every resource a request that whoever may have it can make, in a commune; each may
// be made again and again.
func asks(w *world, r Resource, ins ledger.Commune) (method, path string, body []byte) {
	d := w.days[ins]
	commune := fmt.Sprintf("/communes/%d", ins)
	switch r {
	case ListUpload:
		return "PUT", commune + "/list", d.list
	case ListRead:
		return "GET", commune + "/list", nil
	case ListCopy:
		return "GET", commune + "/copy", nil
	case ElectorFind:
		return "POST", commune + "/find", asJSON(Find{NationalNumber: d.numbers[1].Digits()})
	case ElectorChange:
		return "POST", commune + "/changes", []byte("[]") // 400: past the table
	case RecordOwn:
		return "GET", "/record", nil
	case CandidatesMark:
		return "PUT", commune + "/candidates", []byte("national_number\n" + d.numbers[2].Digits() + "\n")
	case MembersWrite:
		return "PUT", commune + "/members", []byte("member,national_number,bureau,function\n1," + d.numbers[3].Digits() + ",1,assessor\n")
	case MembersRead:
		return "GET", commune + "/members", nil
	case TokenKeyWrite:
		return "PUT", commune + "/token-key", fmt.Appendf(nil, "%x", d.k)
	case LedgerUpload:
		return "PUT", commune + "/ledger/0/entries?from=0", ledger.AppendToBundle(nil, d.entries[0])
	case LedgerRead:
		return "GET", commune + "/ledger", nil
	case CheckInsRead:
		return "GET", commune + "/check-ins", nil
	case AbsentElectors:
		return "GET", commune + "/absent-electors", nil
	case AbsentAddresses:
		return "GET", commune + "/absent-electors/addresses", nil
	case AbsentMembers:
		return "GET", commune + "/absent-members", nil
	case DocumentWrite:
		return "PUT", commune + "/bureaux/3/documents/minutes.pdf", []byte("minutes")
	case DocumentRead:
		return "GET", commune + "/bureaux/3/documents/minutes.pdf", nil
	case CustodyWrite:
		return "POST", "/custody", asJSON(HandOver{Key: fmt.Sprintf("%d-001-1", ins)}) // 400: past the table
	case CustodyRead:
		return "GET", "/custody", nil
	case CodeIssue:
		return "POST", "/codes", []byte("{}") // 400
	case CodeRead:
		return "GET", "/codes", nil
	case CodeRevoke:
		return "DELETE", "/codes/nonesuch", nil // 404
	case ValidationWrite:
		return "PUT", fmt.Sprintf("/validations/%d", ins), []byte("{}") // 400
	case SettlementWrite:
		return "PUT", "/settlement", []byte("{}") // 400
	case Destroy:
		return "POST", "/destruction", asJSON(DestructionOrder{Day: "2024-10-14"}) // 409
	case DestructionRead:
		return "GET", "/destruction", nil
	case LogRead:
		return "GET", "/log/checkpoint", nil
	case BackupMake:
		return "POST", "/backups", []byte("{}") // 201, or 409 within the same second
	}
	panic("no request for " + string(r))
}

// beyond says which answers mean that the table let the request pass.
func beyond(code int) bool {
	return slices.Contains([]int{200, 201, 204, 400, 404, 409}, code)
}

// Every role and every resource, through the server, in the role's own commune and in another:
// R-13 of the requirements. What is expected is written here once more, by role, so that a slip in
// the table shows.
func TestEveryRoleGetsExactlyItsResources(t *testing.T) {
	w := newWorld(t, testElectors)
	w.filled()
	for ins, d := range w.days {
		w.must(caller{device: d.device(1)}, 200, "PUT", fmt.Sprintf("/communes/%d/ledger/0/entries?from=0", ins), ledger.AppendToBundle(nil, d.entries[0]))
	}
	cells := 0
	for _, role := range Roles {
		own, expected := w.as(role, josse), expectations[role]
		for _, g := range table {
			for _, ins := range []ledger.Commune{josse, evere} {
				method, path, body := asks(w, g.resource, ins)
				code, raw := w.ask(own, method, path, body)
				want := expected[g.resource]
				allowed := want == Everywhere || want != None && ins == josse
				// What names no commune in its address is for whoever has any right to it.
				if want != None && !strings.Contains(path, "/communes/") {
					allowed = true
				}
				switch {
				case allowed && beyond(code) && !(g.resource == CustodyWrite && code == 403):
				case !allowed && role == Nobody && code == http.StatusUnauthorized:
				case !allowed && role != Nobody && code == http.StatusForbidden:
				default:
					t.Errorf("%s asks for %s of %d: %d %s, allowed is %v", role, g.resource, ins, code, raw, allowed)
				}
				cells++
			}
			if got := Allowed(role, g.resource); got != expected[g.resource] {
				t.Errorf("%s has %s %v, the decree gives %v", role, g.resource, got, expected[g.resource])
			}
		}
	}
	t.Logf("%d cells, each in two communes: %d requests", cells/2, cells)
	if cells != 2*len(Roles)*len(table) || len(table) != 29 || len(Roles) != 19 {
		t.Errorf("%d requests for %d roles and %d resources", cells, len(Roles), len(table))
	}
}

// at gives all resources one scope.
func at(s Scope, rs ...Resource) map[Resource]Scope {
	out := map[Resource]Scope{}
	for _, r := range rs {
		out[r] = s
	}
	return out
}

func with(parts ...map[Resource]Scope) map[Resource]Scope {
	out := map[Resource]Scope{}
	for _, p := range parts {
		for r, s := range p {
			out[r] = s
		}
	}
	return out
}

// expectations is the decree read by office rather than by datum.
var expectations = map[Role]map[Resource]Scope{
	Administration: at(Everywhere, ListRead, ListCopy, ElectorFind, CandidatesMark, MembersRead, TokenKeyWrite, LedgerRead, CheckInsRead, AbsentElectors,
		AbsentAddresses, AbsentMembers, DocumentRead, CustodyWrite, CustodyRead, CodeIssue, CodeRead, CodeRevoke, Destroy, DestructionRead, LogRead, BackupMake),
	Contractor: at(Everywhere, ListRead, ElectorFind, MembersRead, LedgerRead, CheckInsRead, AbsentElectors, DocumentRead),
	Officer: with(at(OwnCommune, ListUpload, ListRead, ListCopy, ElectorFind, ElectorChange, MembersWrite, MembersRead, CustodyWrite, CustodyRead, CodeIssue, CodeRead,
		CodeRevoke), at(Everywhere, DestructionRead)),
	OfficerDelegate: at(OwnCommune, ListUpload, ListRead, ListCopy, ElectorFind, ElectorChange, MembersWrite, MembersRead, CustodyWrite, CustodyRead),
	PrincipalPresident: at(OwnCommune, ListRead, ElectorFind, MembersRead, LedgerRead, CheckInsRead, AbsentElectors, AbsentAddresses, AbsentMembers, DocumentRead,
		CustodyWrite, CustodyRead, CodeIssue, CodeRead, CodeRevoke),
	PrincipalDelegate: at(OwnCommune, ListRead, ElectorFind, MembersRead, LedgerRead, CheckInsRead, AbsentElectors, AbsentAddresses, AbsentMembers, DocumentRead,
		CustodyWrite, CustodyRead),
	BureauPresident: {},
	Expert: at(Everywhere, ListRead, ElectorFind, MembersRead, LedgerRead, CheckInsRead, AbsentElectors, AbsentAddresses, AbsentMembers, DocumentRead, CustodyRead,
		DestructionRead, LogRead),
	College: at(Everywhere, ListRead, ElectorFind, MembersRead, LedgerRead, CheckInsRead, AbsentElectors, DocumentRead, CustodyWrite, CustodyRead, ValidationWrite,
		DestructionRead, LogRead),
	CourtPresident:      at(Everywhere, ListRead, ElectorFind),
	JusticeOfPeace:      at(OwnCommune, ListRead, ElectorFind, AbsentElectors, AbsentAddresses, AbsentMembers),
	Prosecutor:          at(Everywhere, AbsentElectors, AbsentAddresses, SettlementWrite, DestructionRead),
	Elector:             at(OwnRecord, RecordOwn),
	Depositor:           at(OwnCommune, ListCopy),
	AuthorisedCandidate: at(OwnCommune, CheckInsRead, DocumentRead),
	CouncilOfState:      at(OwnCommune, LedgerRead, CheckInsRead, DocumentRead),
	PrincipalMachine:    at(OwnCommune, TokenKeyWrite, LedgerUpload, LedgerRead, DocumentWrite, DocumentRead),
	BureauMachine:       with(at(OwnCommune, LedgerRead), at(OwnBureau, DocumentWrite, DocumentRead)),
	Nobody:              {},
}

func TestABureausMachineReachesNoOtherBureau(t *testing.T) {
	w := newWorld(t, testElectors)
	three := w.as(BureauMachine, josse)
	w.must(three, 201, "PUT", "/communes/21014/bureaux/3/documents/minutes.pdf", []byte("minutes"))
	w.must(three, 403, "GET", "/communes/21014/bureaux/2/documents/minutes.pdf", nil)
	w.must(three, 403, "PUT", "/communes/21014/bureaux/2/documents/minutes.pdf", []byte("x"))
	w.must(w.as(PrincipalMachine, josse), 200, "GET", "/communes/21014/bureaux/3/documents/minutes.pdf", nil)
	w.must(caller{device: testKey(josse, "no machine of the manifest")}, 403, "GET", "/communes/21014/ledger", nil)
}
