package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"pointage/testnet/baselines/load"
	"pointage/testnet/baselines/systems"
)

// maxRequest is the length of a line on serve's standard input, in bytes.
const maxRequest = 1 << 10

// named is a system that runs.
type named struct {
	name string
	systems.System
}

// start starts a system; one that isn't installed is printed as missing, and
// ok is false.
func start(ctx context.Context, name string, o options, out *printer) (s named, ok bool, err error) {
	started, err := systems.Start(ctx, name, o.dir)
	var missing *systems.MissingError
	if errors.As(err, &missing) {
		return named{}, false, out.print(missingLine{name, missing.What})
	}
	if err != nil {
		return named{}, false, err
	}
	return named{name, started}, true, nil
}

func (o options) names() []string {
	if o.only != "" {
		return []string{o.only}
	}
	return systems.Names()
}

// runAll starts the systems and measures them in turn, so that what else the
// machine does meanwhile falls on all of them.
func runAll(ctx context.Context, o options, out *printer) (err error) {
	var all []named
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, name := range o.names() {
		s, ok, err := start(ctx, name, o, out)
		if err != nil {
			return err
		}
		if ok {
			all = append(all, s)
		}
	}
	for range o.rounds {
		for _, clients := range o.clients {
			for _, s := range all {
				line, err := s.run(ctx, clients, o.duration)
				if err != nil {
					return err
				}
				if err := out.print(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s named) run(ctx context.Context, clients int, duration time.Duration) (runLine, error) {
	r, err := load.Run(ctx, s.Connect, clients, duration)
	if err != nil {
		return runLine{}, fmt.Errorf("measure %s with %d clients: %w", s.name, clients, err)
	}
	return runLine{s.name, s.Version(), r}, nil
}

// outageAll starts each system anew for each number of clients, since it
// leaves every one of them a replica short.
func outageAll(ctx context.Context, o options, out *printer) error {
	for _, clients := range o.clients {
		for _, name := range o.names() {
			if err := outage(ctx, name, clients, o, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func outage(ctx context.Context, name string, clients int, o options, out *printer) (err error) {
	s, ok, err := start(ctx, name, o, out)
	if err != nil || !ok {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	seen, err := load.RunOutage(ctx, s.Connect, s.KillLeader, clients, o.duration, o.killAfter)
	if err != nil {
		return fmt.Errorf("measure outage of %s with %d clients: %w", name, clients, err)
	}
	return out.print(outageLine{name, s.Version(), seen})
}

// serve starts one system, says that it is ready, and measures it whenever a
// line of stdin asks for it. Lines already sent are still obeyed when stdin ends.
func serve(ctx context.Context, o options, stdin io.Reader, out *printer) (err error) {
	s, ok, err := start(ctx, o.only, o, out)
	if err != nil || !ok {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := out.print(readyLine{s.name, s.Version(), true}); err != nil {
		return err
	}
	requests := readLines(ctx, stdin)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case request, ok := <-requests:
			if !ok || strings.TrimSpace(request) == "quit" {
				return nil
			}
			line, err := s.answer(ctx, request)
			if err != nil {
				return err
			}
			if err := out.print(line); err != nil {
				return err
			}
		}
	}
}

// readLines hands out the lines of in. Its goroutine is the one that nobody
// waits for: a read of standard input can't be called off, and ends with the
// process.
func readLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxRequest)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// answer measures what one line asks for. A line that asks for nothing known,
// and a measurement that failed, are answered by an errorLine: the caller
// reads one line for each that it wrote.
func (s named) answer(ctx context.Context, request string) (fmt.Stringer, error) {
	clients, duration, err := parseRequest(request)
	if err != nil {
		return errorLine{s.name, err.Error()}, nil
	}
	line, err := s.run(ctx, clients, duration)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return errorLine{s.name, strings.ReplaceAll(err.Error(), "\n", "; ")}, nil
	}
	return line, nil
}

func parseRequest(request string) (int, time.Duration, error) {
	fields := strings.Fields(request)
	if len(fields) != 3 || fields[0] != "run" {
		return 0, 0, fmt.Errorf("%q: write \"run CLIENTS SECONDS\" or \"quit\"", request)
	}
	clients, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no number of clients", fields[1])
	}
	seconds, err := strconv.ParseFloat(fields[2], 64)
	if err != nil || !(seconds > 0 && seconds <= load.MaxDuration.Seconds()) {
		return 0, 0, fmt.Errorf("%q is no number of seconds from 0 to %.0f", fields[2], load.MaxDuration.Seconds())
	}
	duration := time.Duration(seconds * float64(time.Second))
	return clients, duration, load.CheckRun(clients, duration)
}
