// The services in Go of a small product-passport platform: each keeps entries in a schema of its own. Put your own in their place.
//
//	service NAME            serve on port 8080: GET and POST /api/…
//	service NAME migrate    bring the tables of its schema to this version; may run before every deploy
//	service health          ask the running program how it is
// Patterns with methods, also where it is compiled without go.mod.
//go:debug httpmuxgo121=0
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq"
)

// The schema is not named: it is the first place where this service's user looks, and the only one that it may see.
const entries = `CREATE TABLE IF NOT EXISTS entries (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (name <> ''), made timestamptz NOT NULL DEFAULT now())`

type service struct {
	name string
	db   *sql.DB
}

func open() (*sql.DB, error) {
	address, err := os.ReadFile("/run/secrets/database_url")
	if err != nil {
		return nil, err
	}
	// Inside the private network.
	db, err := sql.Open("postgres", strings.TrimSpace(string(address))+"?sslmode=disable")
	if err == nil {
		db.SetMaxOpenConns(3)
	}
	return db, err
}

func (s service) health(w http.ResponseWriter, r *http.Request) {
	if err := s.db.PingContext(r.Context()); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"service": s.name, "database": "ok"})
}

// Every entry of this service's schema, and who owns it.
func (s service) list(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Service string   `json:"service"`
		Schema  string   `json:"schema"`
		Entries []string `json:"entries"`
	}{Service: s.name, Entries: []string{}}
	rows, err := s.db.QueryContext(r.Context(), `SELECT current_schema, coalesce(name, '') FROM (SELECT) AS one LEFT JOIN entries ON true ORDER BY id LIMIT 100`)
	if err != nil {
		fail(w, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&answer.Schema, &name); err != nil {
			fail(w, err)
			return
		}
		if name != "" {
			answer.Entries = append(answer.Entries, name)
		}
	}
	reply(w, http.StatusOK, answer)
}

func (s service) add(w http.ResponseWriter, r *http.Request) {
	var entry struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&entry); err != nil || entry.Name == "" {
		reply(w, http.StatusUnprocessableEntity, map[string]string{"error": `send {"name": "…"}`})
		return
	}
	if _, err := s.db.ExecContext(r.Context(), `INSERT INTO entries (name) VALUES ($1)`, entry.Name); err != nil {
		fail(w, err)
		return
	}
	slog.Info("added", "service", s.name, "name", entry.Name)
	reply(w, http.StatusCreated, entry)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, err error) {
	slog.Error("database", "error", err)
	reply(w, http.StatusServiceUnavailable, map[string]string{"error": "the database does not answer"})
}

func serve(ctx context.Context, s service) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /api/", s.list)
	mux.HandleFunc("POST /api/", s.add)
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	slog.Info("listening", "service", s.name, "address", server.Addr)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	slog.Info("ending: no new requests, the present ones are answered", "service", s.name)
	last, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "health" {
		response, err := http.Get("http://127.0.0.1:8080/healthz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	}
	db, err := open()
	if err != nil {
		return err
	}
	defer db.Close()
	switch {
	case len(args) == 2 && args[1] == "migrate":
		if _, err = db.ExecContext(ctx, entries); err == nil {
			slog.Info("migrated", "service", args[0])
		}
		return err
	case len(args) == 1:
		return serve(ctx, service{args[0], db})
	}
	return fmt.Errorf("say NAME, NAME migrate or health instead of %q", args)
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("service", "command", strings.Join(os.Args[1:], " "), "error", err)
		os.Exit(1)
	}
}
