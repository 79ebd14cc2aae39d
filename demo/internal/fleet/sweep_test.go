package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestSweep lets one fleet's owner be gone, and one be alive.
func TestSweep(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	for _, name := range []string{
		fmt.Sprintf("%s%d-1/jetstream", prefix, gone.ProcessState.Pid()),
		fmt.Sprintf("%s%d-2", prefix, os.Getpid()),
		prefix + "x-3", prefix + "4", "other-1-2",
	} {
		if err := os.MkdirAll(filepath.Join(temp, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := fmt.Sprintf("%s%d-file", prefix, gone.ProcessState.Pid())
	if err := os.WriteFile(filepath.Join(temp, file), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweep(temp)
	entries, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{"other-1-2", prefix + "4", fmt.Sprintf("%s%d-2", prefix, os.Getpid()), file, prefix + "x-3"}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: got %q, want %q", left, want)
	}
}
