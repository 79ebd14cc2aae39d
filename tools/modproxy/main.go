// Modproxy packs the root module into a folder that serves as a GOPROXY, in the form that the Go
// command downloads. The module can then be installed and imported by version before it is
// published.
//
//	modproxy ROOT VERSION FOLDER
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const path = "github.com/waybill-go/waybill"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: modproxy ROOT VERSION FOLDER")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], filepath.Join(os.Args[3], path, "@v")); err != nil {
		fmt.Fprintln(os.Stderr, "modproxy:", err)
		os.Exit(1)
	}
}

func pack(root, version, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".mod":  mod,
		version + ".info": fmt.Appendf(nil, `{"Version":%q}`, version),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	out, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	defer out.Close()
	return zip.CreateFromVCS(out, module.Version{Path: path, Version: version}, root, "HEAD", "")
}
