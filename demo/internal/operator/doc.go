// Package operator is the operator's part where the demo runs in containers: [Init] says who the members are, each in a
// volume of its own; [Declare] makes what the broker holds; [Rotate], [Revoke] and [Status] look after the keys.
package operator
