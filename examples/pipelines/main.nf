#!/usr/bin/env nextflow

// Segment each image of a folder in a task of its own:
//
//     nextflow run main.nf --images 'images/*.{tif,png}' --out results
//
// Not yet run: no Nextflow was at hand. The command of the task is tested.

params.images = 'images/*.{tif,tiff,png}'
params.out = 'results'
params.options = '--measure intensity,shape'

process SEGMENT {
    tag "${image.baseName}"
    publishDir params.out, mode: 'copy'

    input:
    path image

    output:
    path "${image.baseName}.json", emit: answer
    path "nuclei/${image.baseName}.csv", emit: table
    path "nuclei/${image.baseName}.h5ad", emit: matrix

    script:
    """
    nucleus-unet predict '${image}' --out nuclei --format csv,anndata ${params.options} --json > '${image.baseName}.json'
    """
}

workflow {
    SEGMENT(Channel.fromPath(params.images, checkIfExists: true))
}
