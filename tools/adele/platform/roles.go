package platform

import (
	"fmt"
	"slices"
)

// Role is in what office somebody asks the platform; its text stands in codes and in the
// access log, for ever.
type Role string

// The roles of people, and of the machines that the manifest names. The president of a
// bureau has no access to the platform but through the bureau's encrypted keys (decree,
// art. 13 §1, fourth dash): the role exists to be refused.
const (
	Administration      Role = "administration"       // Bruxelles Pouvoirs Locaux, art. 2 §2, 13 §1
	Contractor          Role = "contractor"           // who develops the platform, art. 13 §1
	Officer             Role = "officer"              // the commune's designated person, art. 1 §3, 13 §1
	OfficerDelegate     Role = "officer-delegate"     // art. 1 §3, 13 §1
	PrincipalPresident  Role = "principal-president"  // art. 4, 13 §1
	PrincipalDelegate   Role = "principal-delegate"   // art. 13 §1
	BureauPresident     Role = "bureau-president"     // art. 13 §1: by the keys only
	Expert              Role = "expert"               // college of experts, art. 5, 13 §1
	College             Role = "college"              // president of the juridictional college, art. 11 §3, 13 §1, 14
	CourtPresident      Role = "court-president"      // art. 4
	JusticeOfPeace      Role = "justice-of-the-peace" // art. 4, 11 §4, 13 §2: his canton's communes
	Prosecutor          Role = "prosecutor"           // art. 11 §5, 13 §2
	Elector             Role = "elector"              // art. 13 §2: his own data
	Depositor           Role = "depositor"            // of a list, or a candidate, art. 13 §2
	AuthorisedCandidate Role = "authorised-candidate" // by the juridictional college, art. 13 §2
	CouncilOfState      Role = "council-of-state"     // art. 13 §2
	PrincipalMachine    Role = "principal-machine"    // the principal bureau's or its deputy's, art. 7 §2
	BureauMachine       Role = "bureau-machine"       // another bureau's, art. 7 §2
	Nobody              Role = "nobody"               // who has not signed in
)

// Roles are all of them.
var Roles = []Role{
	Administration, Contractor, Officer, OfficerDelegate, PrincipalPresident, PrincipalDelegate, BureauPresident, Expert, College, CourtPresident,
	JusticeOfPeace, Prosecutor, Elector, Depositor, AuthorisedCandidate, CouncilOfState, PrincipalMachine, BureauMachine, Nobody,
}

// regional says whether a code of the role is for all communes rather than named ones.
func (r Role) regional() bool {
	return slices.Contains([]Role{Administration, Contractor, Expert, College, CourtPresident, Prosecutor}, r)
}

// personal says whether access codes are given in the role.
func (r Role) personal() bool {
	return slices.Contains(Roles, r) && r != PrincipalMachine && r != BureauMachine && r != Nobody
}

// Scope is how far a role's right to a resource reaches.
type Scope uint8

// The scopes, from nothing to everything.
const (
	None       Scope = iota
	OwnRecord        // the one elector that the code is for
	OwnBureau        // the machine's bureau
	OwnCommune       // the communes that the code or the machine is for
	Everywhere
)

// String names the scope.
func (s Scope) String() string {
	names := [...]string{"none", "own record", "own bureau", "own commune", "everywhere"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("scope %d", uint8(s))
}

// Resource is what one asks for; its text stands in the access log, for ever.
type Resource string

// The resources.
const (
	ListUpload      Resource = "list.upload"
	ListRead        Resource = "list.read"
	ListCopy        Resource = "list.copy"
	ElectorFind     Resource = "elector.find"
	ElectorChange   Resource = "elector.change"
	RecordOwn       Resource = "record.own"
	CandidatesMark  Resource = "candidates.mark"
	MembersWrite    Resource = "members.write"
	MembersRead     Resource = "members.read"
	TokenKeyWrite   Resource = "token-key.write"
	LedgerUpload    Resource = "ledger.upload"
	LedgerRead      Resource = "ledger.read"
	CheckInsRead    Resource = "check-ins.read"
	AbsentElectors  Resource = "absent-electors.read"
	AbsentAddresses Resource = "absent-addresses.read"
	AbsentMembers   Resource = "absent-members.read"
	DocumentWrite   Resource = "document.write"
	DocumentRead    Resource = "document.read"
	CustodyWrite    Resource = "custody.write"
	CustodyRead     Resource = "custody.read"
	CodeIssue       Resource = "code.issue"
	CodeRead        Resource = "code.read"
	CodeRevoke      Resource = "code.revoke"
	ValidationWrite Resource = "validation.write"
	SettlementWrite Resource = "settlement.write"
	Destroy         Resource = "destroy"
	DestructionRead Resource = "destruction.read"
	LogRead         Resource = "log.read"
	BackupMake      Resource = "backup.make"
)

// A grant is one row of the table: who may have a resource, and how far.
type grant struct {
	resource Resource
	// personal says that whoever is let in sees or changes personal data: each access
	// goes into the log, refused ones of every resource do.
	personal bool
	roles    map[Role]Scope
}

// table says who may do what; what is not in it is refused. Its sources are the articles of
// the ministerial decree of 16 July 2024:
//
//	list.upload            art. 1 §3-4: the commune's person and sub-delegates upload its list
//	list.read, .find       art. 4, 5, 11 §3, 13 §1: who has access, a principal bureau and a commune to
//	                       their own only (art. 3 §2, 4); the justice of the peace to his canton's
//	list.copy              art. 13 §2: depositors of lists and candidates, without any number
//	elector.change         art. 2 §3: after the upload the commune makes its updates here
//	record.own             art. 13 §2: the elector verifies his own data
//	candidates.mark        art. 6: the administration injects MARTINE's marks
//	members.*              art. 8 §1: the commune injects functions; §2 it pays
//	token-key.write        art. 2 §2, 7: what stands for an elector in the ledger, from who made the keys
//	ledger.upload          art. 7 §2: by the principal bureau's secure connection
//	ledger.read            art. 5, 11 §3, 13: pseudonymous
//	check-ins.read         art. 11 §3 (lists that served the check-in), 13 §2 (Title VI)
//	absent-electors.read   art. 11 §2, §3, §5, 13 §2
//	absent-addresses.read  art. 11 §2, §5: the principal bureau extracts it for the justice of the
//	                       peace and the public prosecutor; art. 5 and 13 §1 first dash for all data
//	absent-members.read    art. 11 §4: the principal bureau to the justice of the peace
//	document.*             art. 11 §1: minutes; art. 13 §2 for an appeal
//	custody.*              art. 7 §3: who hands keys over or takes them back
//	code.*                 art. 1 §3, 13 §1: the administration, and who may have delegates
//	validation.write       art. 16: the juridictional college
//	settlement.write       art. 11 §5: the public prosecutor has drawn up his list
//	destroy                art. 16 §1: the administration; destruction.read: those it concerns
//	log.read               art. 15, 5, 14
//	backup.make            art. 2 §2
var table = []grant{
	{ListUpload, true, map[Role]Scope{Officer: OwnCommune, OfficerDelegate: OwnCommune}},
	{ListRead, true, readers()},
	{ListCopy, true, map[Role]Scope{Administration: Everywhere, Officer: OwnCommune, OfficerDelegate: OwnCommune, Depositor: OwnCommune}},
	{ElectorFind, true, readers()},
	{ElectorChange, true, map[Role]Scope{Officer: OwnCommune, OfficerDelegate: OwnCommune}},
	{RecordOwn, true, map[Role]Scope{Elector: OwnRecord}},
	{CandidatesMark, true, map[Role]Scope{Administration: Everywhere}},
	{MembersWrite, true, map[Role]Scope{Officer: OwnCommune, OfficerDelegate: OwnCommune}},
	{MembersRead, true, map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, Officer: OwnCommune, OfficerDelegate: OwnCommune, PrincipalPresident: OwnCommune,
		PrincipalDelegate: OwnCommune, Expert: Everywhere, College: Everywhere,
	}},
	{TokenKeyWrite, true, map[Role]Scope{Administration: Everywhere, PrincipalMachine: OwnCommune}},
	{LedgerUpload, true, map[Role]Scope{PrincipalMachine: OwnCommune}},
	{LedgerRead, false, map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere,
		College: Everywhere, CouncilOfState: OwnCommune, PrincipalMachine: OwnCommune, BureauMachine: OwnCommune,
	}},
	{CheckInsRead, true, map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere,
		College: Everywhere, AuthorisedCandidate: OwnCommune, CouncilOfState: OwnCommune,
	}},
	{AbsentElectors, true, map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere,
		College: Everywhere, JusticeOfPeace: OwnCommune, Prosecutor: Everywhere,
	}},
	{AbsentAddresses, true, map[Role]Scope{
		Administration: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere, JusticeOfPeace: OwnCommune,
		Prosecutor: Everywhere,
	}},
	{AbsentMembers, true, map[Role]Scope{
		Administration: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere, JusticeOfPeace: OwnCommune,
	}},
	{DocumentWrite, true, map[Role]Scope{PrincipalMachine: OwnCommune, BureauMachine: OwnBureau}},
	{DocumentRead, true, map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune, Expert: Everywhere,
		College: Everywhere, AuthorisedCandidate: OwnCommune, CouncilOfState: OwnCommune, PrincipalMachine: OwnCommune, BureauMachine: OwnBureau,
	}},
	{CustodyWrite, true, map[Role]Scope{
		Administration: Everywhere, Officer: OwnCommune, OfficerDelegate: OwnCommune, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune,
		College: Everywhere,
	}},
	{CustodyRead, true, map[Role]Scope{
		Administration: Everywhere, Officer: OwnCommune, OfficerDelegate: OwnCommune, PrincipalPresident: OwnCommune, PrincipalDelegate: OwnCommune,
		Expert: Everywhere, College: Everywhere,
	}},
	{CodeIssue, true, issuers()},
	{CodeRead, true, issuers()},
	{CodeRevoke, true, issuers()},
	{ValidationWrite, false, map[Role]Scope{College: Everywhere}},
	{SettlementWrite, false, map[Role]Scope{Prosecutor: Everywhere}},
	{Destroy, true, map[Role]Scope{Administration: Everywhere}},
	{DestructionRead, false, map[Role]Scope{Administration: Everywhere, Expert: Everywhere, College: Everywhere, Prosecutor: Everywhere, Officer: Everywhere}},
	{LogRead, false, map[Role]Scope{Administration: Everywhere, Expert: Everywhere, College: Everywhere}},
	{BackupMake, true, map[Role]Scope{Administration: Everywhere}},
}

// readers are those of art. 4, 5, 11 §3 and 13 §1 who have access to the list.
func readers() map[Role]Scope {
	return map[Role]Scope{
		Administration: Everywhere, Contractor: Everywhere, Officer: OwnCommune, OfficerDelegate: OwnCommune, PrincipalPresident: OwnCommune,
		PrincipalDelegate: OwnCommune, Expert: Everywhere, College: Everywhere, CourtPresident: Everywhere, JusticeOfPeace: OwnCommune,
	}
}

// issuers are the administration and those who may have delegates of their own (art. 1 §3, 13 §1).
func issuers() map[Role]Scope {
	return map[Role]Scope{Administration: Everywhere, Officer: OwnCommune, PrincipalPresident: OwnCommune}
}

// issues says which roles' codes a role may issue; the administration issues all of them.
func (r Role) issues(other Role) bool {
	switch r {
	case Administration:
		return other.personal()
	case Officer:
		return other == OfficerDelegate || other == Elector
	case PrincipalPresident:
		return other == PrincipalDelegate
	}
	return false
}

// Allowed is how far a role's right to a resource reaches, None when it has none.
func Allowed(role Role, resource Resource) Scope { return grantOf(resource).roles[role] }

func grantOf(resource Resource) grant {
	for _, g := range table {
		if g.resource == resource {
			return g
		}
	}
	panic(fmt.Sprintf("resource %q is not in the table", resource))
}
