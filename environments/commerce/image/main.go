// A shop in one file, standing in for yours: a catalogue and orders in PostgreSQL. Of the other services that it may be
// given it asks whether they take connections, so that its health says so.
//
//	shop            serve on port 8080
//	shop migrate    bring the tables to this version; may run before every deploy
//	shop health     ask the running program how it is

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
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq"
)

// Each is run once, in this order, in a transaction of its own.
var migrations = []string{
	`CREATE TABLE orders (
		id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		item    text NOT NULL CHECK (item <> ''),
		ordered timestamptz NOT NULL DEFAULT now()
	)`,
	`ALTER TABLE orders ADD COLUMN pieces integer NOT NULL DEFAULT 1 CHECK (pieces > 0)`,
}

// What else it may be given, with the port of a URL that names none.
var services = map[string]string{"mongodb_url": "27017", "amqp_url": "5672", "redis_url": "6379"}

// secret reads a file that Docker puts into the container; an address that is empty stands for nothing.
func secret(name string) string {
	text, err := os.ReadFile("/run/secrets/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func open() (*sql.DB, error) {
	address := secret("database_url")
	if address == "" {
		return nil, nil
	}
	// Inside the private network; an external database says sslmode itself.
	if parsed, err := url.Parse(address); err == nil && !parsed.Query().Has("sslmode") {
		query := parsed.Query()
		query.Set("sslmode", "prefer")
		if parsed.Hostname() == "postgres" {
			query.Set("sslmode", "disable")
		}
		parsed.RawQuery = query.Encode()
		address = parsed.String()
	}
	return sql.Open("postgres", address)
}

func migrate(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY)`); err != nil {
		return err
	}
	for number, statement := range migrations {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		result, err := tx.ExecContext(ctx, `INSERT INTO migrations VALUES ($1) ON CONFLICT DO NOTHING`, number+1)
		if err != nil {
			return err
		}
		if rows, _ := result.RowsAffected(); rows == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("migration %d: %w", number+1, err)
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		slog.Info("migrated", "to", number+1)
	}
	return nil
}

type order struct {
	ID      int64     `json:"id"`
	Item    string    `json:"item"`
	Pieces  int       `json:"pieces"`
	Ordered time.Time `json:"ordered"`
}

type shop struct{ db *sql.DB }

func (s shop) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	state, status := map[string]string{}, http.StatusOK
	note := func(name string, err error) {
		if state[name] = "ok"; err != nil {
			state[name], status = err.Error(), http.StatusServiceUnavailable
		}
	}
	if s.db != nil {
		note("database", s.db.PingContext(ctx))
	}
	for name, port := range services {
		if address, err := url.Parse(secret(name)); err == nil && address.Host != "" {
			at := net.JoinHostPort(address.Hostname(), port)
			if address.Port() != "" {
				at = address.Host
			}
			connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
			if err == nil {
				connection.Close()
			}
			note(strings.TrimSuffix(name, "_url"), err)
		}
	}
	reply(w, status, state)
}

func (s shop) list(w http.ResponseWriter, r *http.Request) {
	rows, err := s.db.QueryContext(r.Context(), `SELECT id, item, pieces, ordered FROM orders ORDER BY id DESC LIMIT 100`)
	if err != nil {
		fail(w, err)
		return
	}
	defer rows.Close()
	orders := []order{}
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.ID, &o.Item, &o.Pieces, &o.Ordered); err != nil {
			fail(w, err)
			return
		}
		orders = append(orders, o)
	}
	reply(w, http.StatusOK, orders)
}

func (s shop) add(w http.ResponseWriter, r *http.Request) {
	o := order{Pieces: 1}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&o); err != nil || o.Item == "" || o.Pieces < 1 {
		reply(w, http.StatusUnprocessableEntity, map[string]string{"error": `send {"item": "…", "pieces": 1}`})
		return
	}
	row := s.db.QueryRowContext(r.Context(), `INSERT INTO orders (item, pieces) VALUES ($1, $2) RETURNING id, ordered`, o.Item, o.Pieces)
	if err := row.Scan(&o.ID, &o.Ordered); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusCreated, o)
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

func serve(ctx context.Context, db *sql.DB) error {
	s, mux := shop{db}, http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	if db != nil {
		mux.HandleFunc("GET /orders", s.list)
		mux.HandleFunc("POST /orders", s.add)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintln(w, `<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1><p>Orders are at <a href="/orders">/orders</a>.</p></html>`)
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	slog.Info("listening", "address", server.Addr)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	slog.Info("ending: no new requests, the present ones are answered")
	last, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

func run(ctx context.Context, command string) error {
	if command == "health" {
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
	switch {
	case command == "migrate" && db == nil:
		slog.Info("no database, nothing to migrate")
		return nil
	case command == "migrate":
		return migrate(ctx, db)
	case command == "":
		return serve(ctx, db)
	}
	return fmt.Errorf("there is no command %q: none, migrate or health", command)
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	if err := run(ctx, command); err != nil {
		slog.Error("shop", "command", command, "error", err)
		os.Exit(1)
	}
}
