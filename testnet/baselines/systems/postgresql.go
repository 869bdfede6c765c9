package systems

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"

	"pointage/testnet/baselines/load"
)

const (
	// role is the one database role; its password is drawn for each start.
	role = "baselines"
	// spareConnections are left beside the clients' for standbys and for us.
	spareConnections = 20
	insertStatement  = "insert into entries (k, v) values ($1, $2) on conflict (k) do nothing"
	// fallbackUser is the user ID of nobody where the system doesn't name it.
	fallbackUser = 65534
	// shmLine is the line of postmaster.pid with the key and the ID of the
	// server's System V segment (src/include/utils/pidfile.h).
	shmLine = 7
)

type postgreSQL struct {
	programs programs
	dir      string
	user     *syscall.Credential
	password string
	ports    []int
	servers  []*process // the primary first
	version  string
}

// programs are those of one installation of PostgreSQL.
type programs struct{ postgres, initdb, basebackup string }

func startPostgreSQL(ctx context.Context, dir string) (System, error) {
	found, err := findPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if owner != nil {
		if err := enterable(dir); err != nil {
			return nil, err
		}
	}
	own, err := makeDir(dir, PostgreSQL)
	if err != nil {
		return nil, err
	}
	s := &postgreSQL{programs: found, dir: own, user: owner, password: rand.Text()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// findPrograms follows postgres on PATH to its installation: another of its
// programs, found on PATH alone, may be a wrapper or of another version.
func findPrograms() (programs, error) {
	postgres, err := exec.LookPath("postgres")
	if err != nil {
		return programs{}, &MissingError{"postgres not on PATH: install PostgreSQL's server and put its bin directory on PATH"}
	}
	if real, err := filepath.EvalSymlinks(postgres); err == nil {
		postgres = real
	}
	found := programs{postgres: postgres}
	for name, path := range map[string]*string{"initdb": &found.initdb, "pg_basebackup": &found.basebackup} {
		*path = filepath.Join(filepath.Dir(postgres), name)
		if _, err := os.Stat(*path); err == nil {
			continue
		}
		if *path, err = exec.LookPath(name); err != nil {
			return programs{}, &MissingError{name + " neither beside " + postgres + " nor on PATH: install PostgreSQL's client programs too"}
		}
	}
	return found, nil
}

// unprivileged returns the user whom PostgreSQL runs as when we are root, whom
// it refuses; nil when we are somebody else.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	uid, gid := uint64(fallbackUser), uint64(fallbackUser)
	if nobody, err := user.Lookup("nobody"); err == nil {
		if uid, err = strconv.ParseUint(nobody.Uid, 10, 32); err != nil {
			return nil, fmt.Errorf("read nobody's user ID: %w", err)
		}
		if gid, err = strconv.ParseUint(nobody.Gid, 10, 32); err != nil {
			return nil, fmt.Errorf("read nobody's group ID: %w", err)
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// enterable tells whether any user may reach what lies in dir.
func enterable(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find %s: %w", dir, err)
	}
	for {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at directory: %w", err)
		}
		if info.Mode().Perm()&1 == 0 {
			return fmt.Errorf("%s is closed to the user nobody, whom PostgreSQL runs as under root: give --dir elsewhere", path)
		}
		if path == filepath.Dir(path) {
			return nil
		}
		path = filepath.Dir(path)
	}
}

func (s *postgreSQL) start(ctx context.Context) (err error) {
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return fmt.Errorf("hand directory to PostgreSQL's user: %w", err)
		}
	}
	if s.ports, err = freePorts(Replicas); err != nil {
		return err
	}
	if err := s.initialize(ctx); err != nil {
		return err
	}
	if err := s.launch(0); err != nil {
		return err
	}
	if err := waitReady(ctx, s.servers, func(ctx context.Context) error { return s.query(ctx, 0, "select 1", new(int)) }); err != nil {
		return err
	}
	for i := 1; i < Replicas; i++ {
		if err := s.copyPrimary(ctx, i); err != nil {
			return err
		}
		if err := s.launch(i); err != nil {
			return err
		}
	}
	if err := waitReady(ctx, s.servers, s.ready); err != nil {
		return err
	}
	return s.prepare(ctx)
}

func (s *postgreSQL) data(i int) string { return filepath.Join(s.dir, fmt.Sprintf("s%d", i)) }

func (s *postgreSQL) initialize(ctx context.Context) error {
	file := filepath.Join(s.dir, "password")
	if err := os.WriteFile(file, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	if s.user != nil {
		if err := os.Chown(file, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return fmt.Errorf("hand password to PostgreSQL's user: %w", err)
		}
	}
	// md5, not scram-sha-256: 256 clients are connected before each run, and
	// scram's thousands of rounds each would take the machine for seconds.
	return run(ctx, s.command("initdb", s.programs.initdb,
		"-D", s.data(0), "-U", role, "-A", "md5", "--pwfile", file, "-E", "UTF8", "--locale", "C"))
}

func (s *postgreSQL) copyPrimary(ctx context.Context, i int) error {
	if err := run(ctx, s.command("pg_basebackup", s.programs.basebackup,
		"-h", "127.0.0.1", "-p", strconv.Itoa(s.ports[0]), "-U", role,
		"-D", s.data(i), "-X", "stream", "-c", "fast", "-R")); err != nil {
		return err
	}
	return nil
}

// launch starts server i. The settings stand on its command line, where they
// override every file.
func (s *postgreSQL) launch(i int) error {
	settings := []string{
		"port=" + strconv.Itoa(s.ports[i]),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"max_connections=" + strconv.Itoa(load.MaxClients+spareConnections),
		"shared_buffers=128MB",
		"wal_level=replica",
		"max_wal_senders=8",
		// A standby that falls behind must not lose its place and leave only one.
		"wal_keep_size=4GB",
		"fsync=on",
		"synchronous_commit=on",
		"full_page_writes=on",
		"synchronous_standby_names=ANY 1 (s1,s2)",
		// Files below the data directory, so that kill -9 leaves none elsewhere.
		"dynamic_shared_memory_type=mmap",
		"logging_collector=off",
	}
	if i > 0 {
		settings = append(settings, fmt.Sprintf("primary_conninfo=host=127.0.0.1 port=%d user=%s application_name=s%d", s.ports[0], role, i))
	}
	args := []string{"-D", s.data(i)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	// SIGQUIT is the immediate shutdown: it ends the children, which have
	// process groups of their own, and removes shared memory.
	p, err := launch(s.command(fmt.Sprintf("postgres %d", i), s.programs.postgres, args...), syscall.SIGQUIT)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, p)
	return nil
}

func (s *postgreSQL) command(name, path string, args ...string) command {
	return command{name: name, path: path, args: args, dir: s.dir, user: s.user, env: []string{"PGPASSWORD=" + s.password}}
}

// ready asks the primary whether both standbys follow.
func (s *postgreSQL) ready(ctx context.Context) error {
	var following int
	if err := s.query(ctx, 0, "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'", &following); err != nil {
		return err
	}
	if following != Replicas-1 {
		return fmt.Errorf("%d of %d standbys follow the primary", following, Replicas-1)
	}
	return nil
}

// prepare creates the table and reads back the settings that the comparison
// rests on.
func (s *postgreSQL) prepare(ctx context.Context) error {
	c, err := s.dial(ctx, 0)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "create table entries (k uuid primary key, v bytea not null)"); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	for name, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "synchronous_standby_names": "ANY 1 (s1,s2)"} {
		var got string
		if err := c.QueryRow(ctx, "show "+name).Scan(&got); err != nil {
			return fmt.Errorf("read setting %s: %w", name, err)
		}
		if got != want {
			return fmt.Errorf("setting %s is %q where %q was asked for", name, got, want)
		}
	}
	if err := c.QueryRow(ctx, "show server_version").Scan(&s.version); err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	s.version, _, _ = strings.Cut(s.version, " ")
	return nil
}

func (s *postgreSQL) dial(ctx context.Context, i int) (*pgx.Conn, error) {
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[i])), Path: "postgres",
		RawQuery: "sslmode=disable&target_session_attrs=any",
	}
	config, err := pgx.ParseConfig(address.String())
	if err != nil {
		return nil, fmt.Errorf("configure connection: %w", err)
	}
	// Without those of the environment: PGOPTIONS may relax durability.
	config.RuntimeParams = map[string]string{"application_name": role}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return c, nil
}

// query asks server i for one value.
func (s *postgreSQL) query(ctx context.Context, i int, sql string, into any) error {
	c, err := s.dial(ctx, i)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, sql).Scan(into); err != nil {
		return fmt.Errorf("ask PostgreSQL: %w", err)
	}
	return nil
}

func (s *postgreSQL) Version() string { return s.version }

// Connect opens a connection to the primary: standbys take no writes.
func (s *postgreSQL) Connect(ctx context.Context, _ int) (load.Client, error) {
	c, err := s.dial(ctx, 0)
	if err != nil {
		return nil, err
	}
	if _, err := c.Prepare(ctx, "insert", insertStatement); err != nil {
		_ = c.Close(ctx)
		return nil, fmt.Errorf("prepare insertion: %w", err)
	}
	return &postgreSQLClient{conn: c}, nil
}

// KillLeader kills the primary's first process; its children notice and end
// without another word to their clients.
func (s *postgreSQL) KillLeader(context.Context) error {
	s.servers[0].stop(syscall.SIGKILL)
	return nil
}

func (s *postgreSQL) Close() error {
	var wg sync.WaitGroup
	for _, p := range s.servers {
		wg.Go(func() { p.stop(syscall.SIGQUIT) })
	}
	wg.Wait()
	var faults []error
	for i := range s.servers {
		faults = append(faults, s.removeLeftSegment(i))
	}
	if err := os.RemoveAll(s.dir); err != nil {
		faults = append(faults, fmt.Errorf("remove PostgreSQL's files: %w", err))
	}
	return errors.Join(faults...)
}

// removeLeftSegment removes the System V segment of a server that was killed;
// one that ended by itself removed both the segment and the file naming it.
func (s *postgreSQL) removeLeftSegment(i int) error {
	id, ok := s.segment(i)
	if !ok {
		return nil
	}
	if err := removeSharedMemory(id); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: gone already
		return fmt.Errorf("remove shared memory segment %d: %w", id, err)
	}
	return nil
}

// segment returns the ID of server i's System V segment, while its file
// postmaster.pid is there.
func (s *postgreSQL) segment(i int) (int, bool) {
	text, err := os.ReadFile(filepath.Join(s.data(i), "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < shmLine {
		return 0, false
	}
	fields := strings.Fields(lines[shmLine-1])
	if len(fields) != 2 {
		return 0, false
	}
	id, err := strconv.Atoi(fields[1])
	return id, err == nil
}

// postgreSQLClient owns one connection with the prepared insertion.
type postgreSQLClient struct{ conn *pgx.Conn }

func (c *postgreSQLClient) Insert(ctx context.Context, key load.Key, value []byte) (bool, error) {
	tag, err := c.conn.Exec(ctx, "insert", [16]byte(key), value)
	if err != nil {
		return false, err
	}
	return tag.RowsAffected() == 1, nil
}

func (c *postgreSQLClient) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	return c.conn.Close(ctx)
}
