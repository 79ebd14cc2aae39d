// Package cli_test runs the waybill command as a user types it.
package cli_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder of the real binary, built once.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	var err error
	if bin, err = os.MkdirTemp("", "waybill-cli"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	// The root module alone, as "go install" builds it.
	build := exec.Command("go", "build", "-o", bin+string(os.PathSeparator), "./cmd/waybill")
	build.Dir = filepath.Join("..", "..", "..")
	build.Env = append(os.Environ(), "GOWORK=off")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("go build ./cmd/waybill: %w", err)
	}
	return m.Run(), nil
}

func program() string {
	name := filepath.Join(bin, "waybill")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waybill": waybillCmd,
			"json":    jsonCmd,
			"ago":     agoCmd,
			"mode":    modeCmd,
			"moment":  momentCmd,
			"states":  statesCmd,
			"revoke":  revokeCmd,
			"contain": containCmd,
			"line":    lineCmd,
			"value":   valueCmd,
			"follow":  followCmd,
			"age":     ageCmd,
			"nats":    natsCmd,
			"ended":   endedCmd,
			"aged":    agedCmd,
			"shared":  sharedCmd,
		},
	})
}
