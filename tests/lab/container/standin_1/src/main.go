// Stands in for a service that the lab cannot have: it listens on the ports of all of them, answers what their health
// checks want to read, does nothing when it is called as a job, and ends when it is asked to.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Where the programs listen that it stands for.
var ports = []string{
	"3000", "3100", "3200", "4317", "4318", "7233", "7700", "8000", "8080", "8081", "8082", "8108", "9000", "9001", "9090",
	"9092", "9100", "9200", "9644", "13133", "16686",
}

// What a health check looks for in an answer, by port and path; everything else is greeted.
var answers = map[string]string{
	"8108/health":       `{"ok":true}`,
	"9000/health/ready": `{"status":"UP"}`,
	"9200/":             `{"error":"missing authentication credentials for REST request [/]"}`,
}

func main() {
	args := os.Args[1:]
	name := ""
	if len(args) > 0 {
		name = filepath.Base(args[0])
	}
	last := ""
	if len(args) > 1 {
		last = args[len(args)-1]
	}
	switch {
	case name == "tini":
		run(args[1:])
	case name == "tail", name == "sh":
		// Of `busybox`, which it is not an entry point for.
		replace(append([]string{"/usr/bin/busybox"}, args...))
	case name == "curl":
		fetch(last)
	case name == "rpk" && strings.Contains(strings.Join(args, " "), "cluster health"):
		look("9092")
		fmt.Println("Healthy:                          true")
	case name == "mc" && len(args) > 1 && args[1] == "ready":
		look("9000")
	case name == "rpk" && len(args) > 1 && args[1] == "topic", name == "mc", name == "temporal", name == "temporal-sql-tool":
		fmt.Println("done by a stand-in:", strings.Join(args, " "))
	case name == "nc":
		// With -z, which Debian's busybox does not know.
		look(last)
	case last == "-health":
		look("8080")
	default:
		serve(args)
	}
}

func serve(args []string) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	name, _ := os.Hostname()
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		handler := func(writer http.ResponseWriter, request *http.Request) {
			answer, known := answers[port+request.URL.Path]
			if !known {
				answer = fmt.Sprintf(`{"stand-in":%q,"port":%q,"path":%q,"for":%q}`, strings.Join(args, " "), port,
					request.URL.Path, request.Header.Get("X-Forwarded-For"))
			}
			kind := "application/json"
			if request.URL.Path == "/metrics" {
				kind, answer = "text/plain", "# HELP stand_in Not a measure of the program that is asked for it.\nstand_in 1"
			}
			writer.Header().Set("Content-Type", kind)
			io.WriteString(writer, answer+"\n")
		}
		go http.Serve(listener, http.HandlerFunc(handler))
	}
	fmt.Printf("{\"host\":%q,\"event\":\"listening\",\"as\":%q}\n", name, strings.Join(args, " "))
	fmt.Printf("{\"host\":%q,\"event\":\"ending\",\"signal\":%q}\n", name, (<-ended).String())
}

func look(port string) {
	connection, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 5*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	connection.Close()
}

func fetch(url string) {
	response, err := http.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	io.Copy(os.Stdout, response.Body)
}

// `tini -- PROGRAM …`
func run(args []string) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	replace(append([]string{path}, args[1:]...))
}

func replace(args []string) {
	fmt.Fprintln(os.Stderr, syscall.Exec(args[0], args, os.Environ()))
	os.Exit(1)
}
