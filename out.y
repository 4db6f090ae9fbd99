not judged: 14 cases of the group limits: cgroup2 has no cpu, cpuset, io, memory, pids here (make vm-test has)
not judged: 1 cases of the group hosts: the kernel has no AppArmor

running 1 test
test defaults::namespaces ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

exit 0
