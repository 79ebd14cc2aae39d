// Readme checks the documentation. Its arguments are Markdown files and folders with Markdown
// files. In each file
//
//   - every block marked go must occur, line by line, in a Go file of the repository, where it is
//     compiled and run,
//   - every block marked sh is run by bash in the repository, or in a new folder if it is marked
//     "sh scratch", and must exit with code 0 within ten minutes,
//   - the blocks marked "go PATH" and "sh step" are a tutorial: in the order of the file, the first
//     are written to that path, and the others are run, all by one bash in a new folder, whose
//     background jobs are stopped at the end,
//   - every link to a file of the repository must lead to an existing file.
//
// Other blocks are not checked.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	code, err := goLines(root)
	if err != nil {
		return err
	}
	var files []string
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return errors.New("no Markdown files: pass files or folders, such as ../README.md")
	}
	for _, path := range files {
		if err := check(root, path, code); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// goLines returns the text of all Go files without indentation.
func goLines(root string) (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		all.WriteString("\n" + dedent(string(text)) + "\n")
		return err
	})
	return all.String(), err
}

func dedent(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

var (
	block = regexp.MustCompile("(?ms)^```([\\w ./]*)\n(.*?)^```$")
	link  = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

func check(root, path string, code string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var tutorial strings.Builder
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		kind, body := m[1], m[2]
		if file, ok := strings.CutPrefix(kind, "go "); ok {
			fmt.Fprintf(&tutorial, "mkdir -p %s\ncat > %s <<'END OF FILE'\n%sEND OF FILE\n", filepath.Dir(file), file, body)
		}
		switch kind {
		case "go":
			// The parts between blank lines may occur in different places.
			for part := range strings.SplitSeq(strings.TrimSpace(dedent(body)), "\n\n") {
				if !strings.Contains(code, "\n"+strings.TrimSpace(part)+"\n") {
					return fmt.Errorf("this snippet is in no Go file; copy it into an example or "+
						"test:\n%s", part)
				}
			}
		case "sh", "sh scratch":
			fmt.Printf("# %s\n%s", path, body)
			if err := shell(root, body, kind == "sh scratch"); err != nil {
				return fmt.Errorf("%w in\n%s", err, body)
			}
		case "sh step":
			tutorial.WriteString(body)
		}
	}
	if tutorial.Len() > 0 {
		fmt.Printf("# %s: tutorial\n%s", path, tutorial.String())
		if err := shell(root, "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"+tutorial.String(), true); err != nil {
			return fmt.Errorf("%w in the tutorial", err)
		}
	}
	for _, m := range link.FindAllStringSubmatch(block.ReplaceAllString(string(text), ""), -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
			return fmt.Errorf("dead link: %s", m[1])
		}
	}
	return nil
}

// patience is how long a block may run.
const patience = 10 * time.Minute

func shell(root, script string, scratch bool) error {
	dir, err := os.MkdirTemp("", "readme")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// A script that builds this repository runs in its real folder. What it makes with mktemp is removed.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = root
	if scratch {
		cmd.Dir = dir
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "GOBIN="+filepath.Join(dir, "bin"),
		"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("still running after %v", patience)
	}
	return err
}
