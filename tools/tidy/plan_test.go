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
	"ledger/minutes":        {"ledger", "ledger/election", "ledger/plaintext", "ledger/reconciliation"},
	"ledger/proxies":        {"ledger"},
	"ledger/plaintext":      {"ledger", "ledger/proxies"},

	// Engine rooms: they know nothing of elections, nor of each other.
	"consensus":               {},
	"consensus/consensustest": {},
	"transport":               {},

	// What Go's library asks of one operating system only, and what every program says of itself.
	"node/machine":    {},
	"node/provenance": {},

	// The station.
	"node/store":             {"node/machine", "ledger", "ledger/election"},
	"node/journal":           {"node/machine", "ledger", "ledger/election"},
	"node/register":          {"ledger", "ledger/election"},
	"node/anchor":            {"ledger", "ledger/election"},
	"node/heads":             {"ledger"},
	"node/adele":             {"ledger"},
	"node/anchor/anchortest": {"ledger", "ledger/election"},
	"node/eid":               {"ledger"},
	"node/eid/eidtest":       {},
	"node/eid/pcsc":          {"node/eid"},
	"node/pollbook":          {"ledger", "ledger/rights", "ledger/election", "node/register", "node/journal"},
	// What all bureaux declared; the screens see it too.
	"node/daybook": {"ledger", "ledger/reconciliation"},
	// The screens see what people may: refusals, receipts, what was declared. The bureau itself stands behind an
	// interface of theirs.
	"node/web": {"ledger", "ledger/election", "ledger/minutes", "ledger/plaintext", "ledger/proxies", "node/daybook", "node/pollbook"},
	"node": {
		"node/machine", "consensus", "ledger", "ledger/rights", "ledger/election", "ledger/reconciliation", "ledger/proxies", "ledger/plaintext", "ledger/minutes", "node/adele", "node/anchor", "node/daybook", "node/eid", "node/heads", "node/journal", "node/pollbook", "node/register",
		"node/store", "node/web", "node/provenance", "transport",
	},

	// Doors, and the rooms beside them.
	"node/cmd/pointage":         {"node/provenance", "node/machine", "ledger", "ledger/minutes", "node"},
	"node/cmd/pointage-card":    {"node/provenance", "node/eid", "node/eid/pcsc"},
	"tools/verify":              {"node/provenance", "ledger", "ledger/election", "ledger/plaintext", "ledger/reconciliation"}, // plaintext for the one content that is not sealed (SPEC 2)
	"tools/minutes":             {"node/provenance", "ledger", "ledger/election", "ledger/minutes", "node/register"},
	"tools/prepare":             {"node/provenance", "tools/prepare/preparation"},
	"tools/prepare/preparation": {"node/machine", "ledger", "ledger/election", "ledger/plaintext", "node/register"},
	"tools/adele":               {"node/provenance", "node/machine", "ledger", "tools/adele/platform"},
	"tools/adele/platform":      {"node/machine", "ledger", "ledger/election"},
	"tools/release":             {"node/provenance"},
	"tools/tidy":                {},
	"testnet":                   {"node/provenance", "ledger", "testnet/report", "testnet/score", "testnet/simulation", "testnet/watch"},
	// What is shown of a day is made of the simulation's samples.
	"testnet/report":   {"ledger", "testnet/simulation"},
	"testnet/watch":    {"ledger", "testnet/simulation"},
	"testnet/links":    {},
	"testnet/networks": {"testnet/links"},
	"testnet/score":    {},
	// The simulation does what an operator, an elector and a cable-cutter can;
	// node/register tells it who the electors are, node/store shares checked signatures.
	"testnet/simulation": {
		"node/machine", "ledger", "ledger/election", "ledger/proxies", "node", "node/register", "node/store", "testnet/links", "testnet/networks", "tools/adele/platform", "tools/prepare/preparation",
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
	// Whoever links it is no static binary: the card program alone imports node/eid/pcsc.
	"github.com/ElMostafaIdrassi/goscard": {"node/eid/pcsc"},
	"codeberg.org/go-pdf/":                {"ledger/minutes"},
	"github.com/boombuler/barcode":        {"ledger/minutes"},
	// Plots are for those who look at a simulated day; no bureau's program draws.
	"gonum.org/v1/plot": {"testnet/report"},
	"charm.land/":       {"testnet/watch"},
}

// ground is all that packages under ledger may import beyond the standard library.
var ground = []string{"golang.org/x/mod/sumdb", "golang.org/x/crypto/", "github.com/transparency-dev/formats"}

// drawing is what ledger/minutes may import besides: nothing that judges a ledger draws, and the verifier
// links none of it, since its plan does not have the room.
var drawing = []string{"codeberg.org/go-pdf/fpdf", "github.com/boombuler/barcode", "golang.org/x/image/font/", "golang.org/x/text/unicode/norm"}

// effects are the standard packages through which the world gets in.
var effects = map[string][]string{
	"ledger":                {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/election":       {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2"},
	"ledger/plaintext":      {"time", "os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/proxies":        {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/minutes":        {"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/reconciliation": {"time", "os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
	"ledger/rights":         {"time", "os", "net", "net/http", "log", "log/slog", "sync", "math/rand", "math/rand/v2", "crypto/rand"},
	"node/pollbook":         {"net", "net/http", "os"},
	"node/register":         {"net", "net/http", "os"},
}
