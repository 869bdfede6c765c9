package tidy

// plan is the house: for each package, the only packages of ours that it may import. A
// package missing here fails the test, so that adding a room means drawing it.
var plan = map[string][]string{
	// Ground floor: pure.
	"ledger":                {},
	"ledger/rights":         {"ledger"},
	"ledger/election":       {"ledger"},
	"ledger/ledgertest":     {"ledger", "ledger/election"},
	"ledger/reconciliation": {"ledger"},

	// Engine rooms: they know nothing of elections, nor of each other.
	"consensus":               {},
	"consensus/consensustest": {},
	"transport":               {},

	// The station.
	"node/store":             {"ledger", "ledger/election"},
	"node/journal":           {"ledger", "ledger/election"},
	"node/register":          {"ledger", "ledger/election"},
	"node/anchor":            {"ledger", "ledger/election"},
	"node/heads":             {"ledger"},
	"node/anchor/anchortest": {"ledger", "ledger/election"},
	"node/pollbook":          {"ledger", "ledger/rights", "ledger/election", "node/register", "node/journal"},
	"node": {
		"consensus", "ledger", "ledger/rights", "ledger/election", "ledger/reconciliation", "node/anchor", "node/heads", "node/journal", "node/pollbook", "node/register",
		"node/store", "transport",
	},

	// Doors, and the rooms beside them.
	"node/cmd/pointage":         {"ledger", "node"},
	"tools/verify":              {"ledger", "ledger/election", "ledger/reconciliation"},
	"tools/prepare":             {"tools/prepare/preparation"},
	"tools/prepare/preparation": {"ledger", "ledger/election", "node/register"},
	"tools/adele":               {"tools/adele/platform"},
	"tools/adele/platform":      {"ledger", "ledger/election"},
	"tools/tidy":                {},
	"testnet":                   {"ledger", "testnet/simulation"},
	"testnet/links":             {},
	// The simulation does what an operator, an elector and a cable-cutter can;
	// node/register tells it who the electors are, node/store shares checked signatures.
	"testnet/simulation": {
		"ledger", "ledger/election", "node", "node/register", "node/store", "testnet/links", "tools/adele/platform", "tools/prepare/preparation",
	},
}

// modules are folders with a go.mod of their own: outside the house.
var modules = []string{"testnet/baselines", "node/anchor/foreign", "tools/verify/thirdparty"}

// outside names, for each third-party module that shapes the design, the only packages
// that may import it. A module not named here may be used anywhere but on the ground floor.
var outside = map[string][]string{
	"github.com/hashicorp/raft":     {"consensus"},
	"github.com/libp2p/":            {"transport"},
	"github.com/multiformats/":      {"transport"},
	"github.com/cockroachdb/pebble": {"node/store", "tools/adele/platform"},
}

// ground is all that packages under ledger may import beyond the standard library.
var ground = []string{"golang.org/x/mod/sumdb", "golang.org/x/crypto/", "github.com/transparency-dev/formats"}

// effects are the standard packages through which the world gets in.
var effects = map[string][]string{
	"ledger":                {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/election":       {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2"},
	"ledger/reconciliation": {"time", "os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/rights":         {"time", "os", "net", "net/http", "log", "log/slog", "sync", "math/rand", "math/rand/v2", "crypto/rand"},
	"node/pollbook":         {"net", "net/http", "os"},
	"node/register":         {"net", "net/http", "os"},
}
