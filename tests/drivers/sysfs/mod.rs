//! The driver of files: on a made folder with the shape of /sys, and on the kernel's own.

mod example;
mod faults;
mod tree;
mod values;
