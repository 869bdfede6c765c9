package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/minutes"
	"pointage/node"
	"pointage/node/adele"
	"pointage/node/register"
	"pointage/tools/prepare/preparation"
)

var shrink = flag.Int("shrink", 1000, "by which the Region of the whole life's test is divided: 1 is all of it, 650,000 electors")

const (
	lifeOpens  = "2024-10-13T08:00:00+02:00"
	lifeCloses = "2024-10-13T16:00:00+02:00"
	lifeMember = ledger.Commune(21001) // the commune whose members are designated, and whose key lies on a medium
	lifeVotes  = 5
)

// life is an election of the nineteen communes in one directory, with the platform as a process of its own.
type life struct {
	*testing.T
	dir    string
	tools  map[string]string // programs
	p      *regionProcess
	admin  string // access codes
	others map[string]string
	days   []*lifeDay
	people *people
}

// lifeDay is one commune's poll.
type lifeDay struct {
	ins      ledger.Commune
	prepared *node.Prepared
	keys     register.Keys
	secrets  election.Secrets
	register *register.Register
	entries  source
	note     []byte
}

func (l *life) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// prepare runs an act of prepare, and gives what it said.
func (l *life) prepare(want int, args ...string) string {
	l.Helper()
	var out bytes.Buffer
	if code := preparation.Command(l.Context(), args, &out, &out); code != want {
		l.Fatalf("prepare %s: exit %d, want %d: %s", args[0], code, want, out.String())
	}
	return out.String()
}

// run runs another program.
func (l *life) run(name string, args ...string) string {
	l.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.Fatalf("%s %v: %v %s", name, args, err, out)
	}
	return string(out)
}

func (l *life) write(name, text string) string {
	l.Helper()
	path := l.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	return path
}

// TestNothingPersonalIsLeftAfterTheWholeLife plays an election of the Region from the lists to the certificates (decree,
// art. 16): platform, keys, juridictional college, lists. Afterwards every ledger verifies, and no
// file that is left names an elector, his number, or a commune's K. The full Region: -args -shrink 1.
func TestNothingPersonalIsLeftAfterTheWholeLife(t *testing.T) {
	l := &life{T: t, dir: t.TempDir(), tools: map[string]string{}, others: map[string]string{}}
	programs := t.TempDir()
	for _, tool := range []string{"verify", "minutes"} {
		l.tools[tool] = filepath.Join(programs, tool)
		l.run("go", "build", "-buildvcs=false", "-o", l.tools[tool], "pointage/tools/"+tool)
	}
	l.makeRegion()
	l.poll()
	l.evening()
	l.custody()
	l.destroyPlatform()
	l.destroyRest()
	l.verifyAll()
	l.searchAll()
}

// makeRegion prepares the nineteen communes, and designates two members in one of them.
func (l *life) makeRegion() {
	witness := strings.TrimSpace(l.run("adele", "keygen", "--name", "adele.test/witness", "--key", l.path("key")))
	if err := preparation.SyntheticRegion(l.Context(), l.path("lists"), 1, *shrink); err != nil {
		l.Fatal(err)
	}
	l.people = readPeople(l.T, l.path("lists"))
	first := l.people.in[lifeMember]
	work, ins := []string{"--work", l.path("work"), "--by", "A. Official"}, fmt.Sprint(lifeMember)
	bureaux := fmt.Sprint(max(1, 71 / *shrink))
	l.prepare(0, append(append([]string{"import"}, work...), ins+"="+l.path("lists/"+ins+".csv"))...)
	l.prepare(0, append(append([]string{"divide"}, work...), "--bureaux", bureaux, ins)...)
	l.prepare(0, append(append([]string{"number"}, work...), ins)...)
	members := l.write("lists/members.csv", fmt.Sprintf("national_number,bureau,function\n%s,1,president\n%s,1,secretary\n", first[0].national, first[1].national))
	l.prepare(0, append(append([]string{"members"}, work...), ins+"="+members)...)
	l.prepare(0, "experts", "--out", l.path("experts.age"), "--recipient", l.path("experts.txt"), "--letter", l.path("experts.letter"))
	l.prepare(0, "region", "--dir", l.dir, "--by", "C. Administration", "--synthetic", "--shrink", fmt.Sprint(*shrink), "--simulation", "--election", "rehearsal-2024",
		"--opens", lifeOpens, "--closes", lifeCloses, "--witness", witness, "--witness-url", "http://127.0.0.1:1/", "--experts", l.path("experts.txt"))
	for _, c := range preparation.Communes {
		l.days = append(l.days, l.day(c.INS))
	}
}

// day opens a commune's keys and register as its principal bureau does, and plays a small poll there.
func (l *life) day(ins ledger.Commune) *lifeDay {
	l.Helper()
	d := &lifeDay{ins: ins}
	bureau := filepath.Join(l.path("election"), filepath.FromSlash(preparation.BureauDir(ins, 1)))
	passphrase, err := os.ReadFile(filepath.Join(bureau, preparation.PassphraseFile))
	if err != nil {
		l.Fatal(err)
	}
	if d.prepared, err = node.ReadPrepared(l.path("election"), ins); err != nil {
		l.Fatal(err)
	}
	if d.keys, d.secrets, err = d.prepared.OpenKeys(filepath.Join(bureau, preparation.KeysFile), strings.TrimSpace(string(passphrase)), 1); err != nil {
		l.Fatal(err)
	}
	if d.register, err = d.prepared.OpenRegister(d.keys.Identity); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(d.register.Close)
	l.people.keys = append(l.people.keys, d.register.KeyFinder())
	bodies := []ledger.Body{&ledger.SessionOpened{Generation: 1, Media: 3}}
	if ins == lifeMember {
		bodies = append(bodies, &ledger.Attendance{Member: 1, Presence: ledger.Active}, &ledger.Attendance{Member: 2, Presence: ledger.Absent})
	}
	for i := range d.register.Len() {
		if d.register.Bureau(i) == 1 && len(bodies) < lifeVotes {
			bodies = append(bodies, &ledger.Admission{Elector: d.register.Token(i), Means: ledger.ByCard, Attester: 1})
		}
	}
	var statements []ledger.Statement
	for _, b := range bodies {
		statements = append(statements, ledger.NewStatement(d.prepared.Manifest.Opens, b))
	}
	view := ledger.NewMemoryView()
	d.entries = source{ledger.Begin(d.prepared.Group, view)}
	batch, err := ledger.Sign(d.secrets.Device, d.prepared.Group, ledger.Author{Bureau: 1, Session: ledger.SessionID{1}}, ledger.Point{}, statements)
	if err != nil {
		l.Fatal(err)
	}
	answer, placed := ledger.Place(d.prepared.Group, view, batch)
	if answer.Status != ledger.Placed {
		l.Fatalf("%d: %+v", ins, answer)
	}
	d.entries = append(d.entries, placed...)
	return d
}

// start brings the platform up and signs somebody in.
func (l *life) start() { l.p = startRegion(l.T, l.dir) }

func (l *life) stop() {
	l.Helper()
	if code := l.p.end(l.T, syscall.SIGTERM); code != 0 {
		l.Fatalf("the platform stopped with %d: %s", code, &l.p.stderr)
	}
}

// as signs in under a role, with a code of the administration's.
func (l *life) as(role string, ins ledger.Commune) *caller {
	l.Helper()
	if l.admin == "" {
		l.Fatal("the administration has no code yet")
	}
	admin := signIn(l.T, l.p, l.admin)
	defer admin.must(204, "DELETE", "/session", "")
	if role == "administration" {
		return signIn(l.T, l.p, l.others["administration"])
	}
	who := map[string]any{"role": role, "person": "O. Official", "days": 30}
	if ins != 0 {
		who["communes"] = []ledger.Commune{ins}
	}
	order, err := json.Marshal(who)
	if err != nil {
		l.Fatal(err)
	}
	var issued struct{ Code string }
	if err := json.Unmarshal(admin.must(201, "POST", "/codes", string(order)), &issued); err != nil {
		l.Fatal(err)
	}
	return signIn(l.T, l.p, issued.Code)
}

// poll gives the platform the lists, K and the ledgers, whose checkpoints its witness cosigns.
func (l *life) poll() {
	code := func() string {
		first, _, _ := strings.Cut(adeleRun(l.T, l.dir, "code", "--role", "administration", "--person", "C. Administration"), "\n")
		return first
	}
	l.admin, l.others["administration"] = code(), code()
	l.start()
	for _, d := range l.days {
		list := l.path(fmt.Sprintf("uploads/%d.csv", d.ins))
		if err := os.MkdirAll(filepath.Dir(list), 0o700); err != nil {
			l.Fatal(err)
		}
		l.prepare(0, "list", "--work", l.path("work"), "--out", list, fmt.Sprint(d.ins))
		text, err := os.ReadFile(list)
		if err != nil {
			l.Fatal(err)
		}
		l.as("officer", d.ins).must(201, "PUT", fmt.Sprintf("/communes/%d/list", d.ins), string(text))
		l.upload(d)
	}
	l.stop()
	for _, d := range l.days {
		adeleRun(l.T, l.dir, "export", "--commune", fmt.Sprint(d.ins), "--out", l.path(fmt.Sprintf("exports/%d", d.ins)))
	}
}

// upload is the principal bureau's machine.
func (l *life) upload(d *lifeDay) {
	l.Helper()
	c, err := adele.NewClient(adele.Options{URL: l.p.api, Pin: l.p.pin, Device: d.secrets.Device})
	if err != nil {
		l.Fatal(err)
	}
	defer c.Close()
	if err := d.register.GiveTokenKey(func(k []byte) error { return c.TokenKey(l.Context(), d.ins, k) }); err != nil {
		l.Fatal(err)
	}
	if st, err := c.Sync(l.Context(), d.ins, d.entries); err != nil || st.Size != uint64(len(d.entries)) {
		l.Fatalf("%d: %+v %v", d.ins, st, err)
	}
	var hashes memoryHashes
	for i, e := range d.entries {
		stored, err := tlog.StoredHashes(int64(i), e.Encoded, hashes)
		if err != nil {
			l.Fatal(err)
		}
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(len(d.entries)), hashes)
	if err != nil {
		l.Fatal(err)
	}
	head := ledger.Checkpoint{Origin: d.prepared.Group.Origin(0), Size: uint64(len(d.entries)), Root: ledger.Hash(root)}
	note, err := ledger.SignCheckpoint(head, ed25519.NewKeyFromSeed(d.keys.Log[:]))
	if err != nil {
		l.Fatal(err)
	}
	address, _, _ := strings.Cut(l.p.witness, " ")
	answer, err := http.Post(address+"/add-checkpoint", "text/plain", strings.NewReader("old 0\n\n"+string(note)))
	if err != nil {
		l.Fatal(err)
	}
	defer answer.Body.Close()
	line, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		l.Fatalf("add-checkpoint of %d: %d %s %v", d.ins, answer.StatusCode, line, err)
	}
	d.note = append(note, line...)
	if err := c.Checkpoint(l.Context(), d.ins, 0, d.note); err != nil {
		l.Fatal(err)
	}
}

// memoryHashes are the stored hashes of a tree.
type memoryHashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (m memoryHashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = m[x]
	}
	return out, nil
}

// evening leaves what an evening leaves: minutes with the members' names, the college's extract, the prosecutor's list,
// a medium with its sealed paper list, copies of the platform.
func (l *life) evening() {
	d := l.days[0]
	ins := fmt.Sprint(d.ins)
	l.run(l.tools["minutes"], "--bureau", "1", "--out", l.path("minutes"), "--register", l.path("election/"+ins+"/register"), "--members", l.path("election/"+ins+"/members"),
		"--identity", l.path("experts.age"), "--passphrase-file", l.path("experts.letter"), l.path("exports/"+ins))
	adeleRun(l.T, l.dir, "backup", "--out", l.path("by-hand"))
	l.start()
	c, err := adele.NewClient(adele.Options{URL: l.p.api, Pin: l.p.pin, Device: d.secrets.Device})
	if err != nil {
		l.Fatal(err)
	}
	defer c.Close()
	for _, name := range l.minutes() {
		text, err := os.ReadFile(name)
		if err == nil {
			err = c.Document(l.Context(), d.ins, 1, filepath.Base(name), text)
		}
		if err != nil {
			l.Fatal(err)
		}
	}
	l.write("dossier/check-ins.csv", string(l.as("college", 0).must(200, "GET", "/communes/"+ins+"/check-ins", "")))
	l.write("prosecutor/absent.csv", string(l.as("prosecutor", 0).must(200, "GET", "/communes/"+ins+"/absent-electors/addresses", "")))
	l.as("administration", 0).must(201, "POST", "/backups", "")
	l.stop()

	if err := os.Mkdir(l.path("usb"), 0o700); err != nil {
		l.Fatal(err)
	}
	l.prepare(0, "write", "--key", l.path("keys/"+preparation.StickDir(d.ins, 1, 1)), "--to", l.path("usb"))
	id, err := age.ParseHybridIdentity(d.keys.Identity)
	if err != nil {
		l.Fatal(err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, id.Recipient())
	if err == nil {
		_, err = fmt.Fprintf(w, "%%PDF-1.3 %s", l.people.in[d.ins][0].surname)
	}
	if err != nil || w.Close() != nil {
		l.Fatal(err)
	}
	l.write("usb/"+node.PaperFile(minutes.French), sealed.String())
	l.write("forgotten/"+node.PaperFile(minutes.Dutch), sealed.String())
}

// minutes are the files that were drawn.
func (l *life) minutes() []string {
	l.Helper()
	names, err := filepath.Glob(l.path("minutes/*"))
	if err != nil || len(names) < 4 {
		l.Fatalf("%v %v", names, err)
	}
	return names
}

// verifyAll has tools/verify look at every export of before the destruction and after it.
func (l *life) verifyAll() {
	exports, err := filepath.Glob(l.path("exports*/*"))
	if err != nil || len(exports) != 2*len(l.days) {
		l.Fatalf("%d exports, %v", len(exports), err)
	}
	for _, dir := range exports {
		if said := l.run(l.tools["verify"], dir); !strings.Contains(said, "holds") {
			l.Errorf("%s: %s", dir, said)
		}
	}
}

// searchAll looks through every file that is left, by a search of its own; and finds what is planted.
func (l *life) searchAll() {
	files, hits := l.people.search(l.T, l.dir)
	for _, hit := range hits {
		l.Error(hit)
	}
	if files < 20*len(l.days) {
		l.Errorf("only %d files were searched", files)
	}
	e := l.people.in[21019][0]
	planted := l.path("planted")
	for what, text := range map[string]string{
		"name": e.surname + " " + e.first, "number": e.national, "digits": digitsOf(e.national), "K": string(l.people.raw()), "K in digits": fmt.Sprintf("%x", l.people.raw()),
	} {
		if err := os.WriteFile(planted, []byte("minutes: "+text+".\n"), 0o600); err != nil {
			l.Fatal(err)
		}
		if _, hits := l.people.search(l.T, l.dir); len(hits) != 1 || !strings.HasPrefix(hits[0], planted) {
			l.Errorf("%s: a planted one is not found: %v", what, hits)
		}
	}
	l.Logf("%d communes, %d electors, %d files searched", len(l.days), l.people.count, files)
}
